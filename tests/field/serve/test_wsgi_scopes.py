"""Flask contexts and Django database connections stay open as long as the source runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import flask
import pytest
from django.db import connection, connections  # type: ignore[import-untyped]
from django.http import HttpRequest, StreamingHttpResponse  # type: ignore[import-untyped]
from django.middleware.gzip import GZipMiddleware  # type: ignore[import-untyped]
from flask import Flask, current_app, g, request, stream_with_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.pool import QueuePool

from support import django_site
from support.eventually import eventually
from undam.asgi import StreamBroken
from undam.wsgi.django import event_stream_response as django_response
from undam.wsgi.flask import event_stream_response

WAYS = ("generator", "function", "stream_with_context")


def _site(log: list[str], folder: Any, way: str) -> tuple[Flask, SQLAlchemy]:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/test.db"
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        "pool_size": 2, "max_overflow": 0, "pool_timeout": 1, "poolclass": QueuePool,
        "connect_args": {"check_same_thread": False},
    }  # fmt: skip
    db = SQLAlchemy(app)

    @app.teardown_appcontext
    def teardown_app(error: Any) -> None:
        log.append("teardown")

    def source() -> Iterator[str]:
        for number in range(3):
            one = db.session.execute(db.text("select 1")).scalar_one()
            yield f"{number} {one} {request.args['q']} {g.user} {current_app.name == __name__}"
            log.append(str(number))
        if request.args.get("fail"):
            raise ValueError("expected")

    @app.get("/")
    def view() -> flask.Response:
        g.user = "ann"
        if way == "function":
            return event_stream_response(source)
        wraps = way == "stream_with_context"
        return event_stream_response(stream_with_context(source()) if wraps else source())

    @app.get("/plain")
    def plain() -> str:
        return str(g.get("user"))

    return app, db


def _checked_out(app: Flask, db: SQLAlchemy) -> int:
    with app.app_context():
        pool: Any = db.engine.pool
        return int(pool.checkedout())


@pytest.mark.parametrize("way", WAYS)
def test_flask_sqlalchemy_returns_its_connection_after_each_stream(way: str, tmp_path: Any) -> None:
    log: list[str] = []
    app, db = _site(log, tmp_path, way)
    for _ in range(20):
        log.clear()
        body = app.test_client().get("/?q=x").data
        assert body.count(b"data: ") == 3
        assert b"data: 2 1 x ann True\n\n" in body
        # The last teardown runs after the source has ended.
        eventually(lambda: log[-1] == "teardown")
        assert log.index("2") < len(log) - 1
        eventually(lambda: _checked_out(app, db) == 0)
    assert app.test_client().get("/plain").data == b"None"


def test_a_failed_or_abandoned_stream_returns_its_connection(tmp_path: Any) -> None:
    log: list[str] = []
    app, db = _site(log, tmp_path, "generator")
    with pytest.raises(Exception, match="cut off"):
        _ = app.test_client().get("/?q=x&fail=1").data
    eventually(lambda: _checked_out(app, db) == 0)
    response = app.test_client().get("/?q=x", buffered=False)
    parts = response.iter_encoded()
    next(parts), next(parts)
    response.close()
    eventually(lambda: _checked_out(app, db) == 0)


def test_without_a_context_the_source_runs_as_it_is() -> None:
    app = Flask(__name__)
    with app.app_context():
        response = event_stream_response(iter([current_app.name]))
        assert b"data: " in b"".join(response.iter_encoded())
    assert b"data: a" in b"".join(event_stream_response(["a"]).iter_encoded())


@pytest.mark.parametrize("end", ["complete", "failed", "abandoned"])
def test_django_closes_the_connections_of_the_thread(end: str) -> None:
    assert django_site.urlpatterns
    used: list[Any] = []

    def source() -> Iterator[str]:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
            used.append(connections["default"])
            yield str(cursor.fetchone()[0])
        if end == "failed":
            raise ValueError("expected")
        yield "2"

    response = django_response(source)
    parts = iter(response)
    assert next(parts) == b": open\n"
    assert next(parts) == b"data: 1\n\n"
    if end != "abandoned":
        with contextlib.suppress(StreamBroken):
            list(parts)
    response.close()
    (wrapper,) = used
    assert wrapper is not connections["default"]
    eventually(lambda: wrapper.connection is None)


def test_django_compresses_other_responses_only() -> None:
    """Django's GZipMiddleware holds back the events of a stream that it compresses."""
    assert django_site.urlpatterns
    request = HttpRequest()
    request.META["HTTP_ACCEPT_ENCODING"] = "gzip"
    for made, is_compressed in (
        (lambda: django_response(["a"]), False),
        (lambda: django_response(["a"], headers={"X-A": "b"}), False),
        (lambda: StreamingHttpResponse([b"a" * 500], content_type="text/event-stream"), True),
    ):
        response = GZipMiddleware(lambda _request, made=made: made())(request)
        assert ("Content-Encoding" in dict(response.items())) is is_compressed
        body = b"".join(response)
        assert body.startswith(b"\x1f\x8b") is is_compressed
        response.close()
    assert django_response(["a"], headers={"X-A": "b"}).has_header("x-a")
    assert not django_response(["a"]).has_header("x-a")
