"""The Django site for a test process; Django can be configured only once per process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import django  # type: ignore[import-untyped]
from django.conf import settings  # type: ignore[import-untyped]
from django.http import HttpResponse, StreamingHttpResponse  # type: ignore[import-untyped]
from django.urls import path  # type: ignore[import-untyped]

from undam.wsgi.django import event_stream_response

plain_source: Callable[[], Iterator[Any]] | None = None
"""Source of ``/wsgi``, streamed with undam; set by the test."""

async_source: Callable[[], AsyncIterator[bytes]] | None = None
"""Source of ``/asgi``, streamed by Django; set by the test."""


def _page(request: Any) -> HttpResponse:
    return HttpResponse("page", headers={"X-Own": "1"})


def _wsgi(request: Any) -> StreamingHttpResponse:
    assert plain_source is not None
    return event_stream_response(plain_source, heartbeat=0.05, headers={"X-Own": "1"}, status=203)


async def _asgi(request: Any) -> StreamingHttpResponse:
    assert async_source is not None
    return StreamingHttpResponse(async_source(), content_type="text/event-stream")


# A database file is used, because Django never closes an in-memory database.
_DATABASE = f"{tempfile.gettempdir()}/undam-django-{os.getpid()}.db"

urlpatterns = [path("page", _page), path("wsgi", _wsgi), path("asgi", _asgi)]

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="x",
        USE_TZ=True,
        MIDDLEWARE=[],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": _DATABASE}},
    )
    django.setup()
