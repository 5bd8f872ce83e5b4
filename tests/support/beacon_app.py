"""A Starlette application with a beacon mounted, as a user would have it."""

from __future__ import annotations

from starlette.applications import Starlette

from undam.asgi import Beacon

TOKEN = "of the tests"

app = Starlette()
app.mount("/_undam", Beacon(token=TOKEN))
