"""Starlette application with a mounted beacon."""

from __future__ import annotations

from starlette.applications import Starlette

from undam.asgi import Beacon

TOKEN = "of the tests"

app = Starlette()
app.mount("/_undam", Beacon(token=TOKEN))
