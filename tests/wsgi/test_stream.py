"""Calls of `event_stream` as by a WSGI server: iteration, heartbeats, ends and threads."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from support.eventually import eventually
from undam.asgi import Finish, OpenAIAnswer, StreamBroken
from undam.errors import UsageError
from undam.sse import Event
from undam.wsgi import StreamBody, event_stream

OPEN = b": open\n"


def _rest(body: StreamBody) -> list[bytes]:
    parts = list(body)
    body.close()
    return parts


class Source:
    """Plain iterator that records how it is used and can be blocked by a test."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.given = 0
        self.closed: list[str] = []

    def __iter__(self) -> Source:
        return self

    def __next__(self) -> str:
        self.go.acquire()
        self.given += 1
        return str(self.given)

    def close(self) -> None:
        self.closed.append(threading.current_thread().name)


class Unsendable(Source):
    def __next__(self) -> Any:
        super().__next__()
        return object()


def test_status_headers_and_framing_are_those_of_asgi() -> None:
    status, headers, body = event_stream(iter(["a", "b\nc", {"n": 1}, Event("d", "kind", "7")]))
    assert status == "200 OK"
    assert dict(headers) == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "incremental": "?1",
    }
    assert _rest(body) == [
        OPEN,
        b"data: a\n\n",
        b"data: b\ndata: c\n\n",
        b'data: {"n":1}\n\n',
        b"event: kind\nid: 7\ndata: d\n\n",
    ]


def test_given_headers_replace_defaults_and_connection_is_dropped() -> None:
    given = {"Cache-Control": "no-store", "Connection": "keep-alive", "Incremental": None}
    parts = event_stream([], headers=given, status=299)
    assert parts.status == "299 Unknown"
    assert dict(parts.headers) == {
        "content-type": "text/event-stream; charset=utf-8",
        "x-accel-buffering": "no",
        "cache-control": "no-store",
    }


def test_the_response_conforms_to_pep_3333() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        status, headers, body = event_stream(["a"])
        start_response(status, headers)
        return body

    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.version": (1, 0),
        "wsgi.input": _Input(), "wsgi.errors": _Errors(), "wsgi.multithread": True,
        "wsgi.multiprocess": False, "wsgi.run_once": False, "wsgi.url_scheme": "http",
    }  # fmt: skip
    started: list[tuple[str, Any]] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[..., None]:
        started.append((status, headers))
        return lambda data: None

    body: Any = validator(application)(environ, start_response)
    assert list(body) == [OPEN, b"data: a\n\n"]
    body.close()
    assert started[0][0] == "200 OK"


class _Input:
    def read(self, size: int = -1) -> bytes:
        return b""

    readline = readlines = read

    def __iter__(self) -> Iterator[bytes]:
        return iter(())


class _Errors:
    def write(self, text: str) -> None: ...

    def flush(self) -> None: ...

    def writelines(self, lines: list[str]) -> None: ...


def test_the_source_does_not_run_before_the_opening_was_read() -> None:
    started = threading.Event()

    def source() -> Iterator[str]:
        started.set()
        yield "a"

    body = event_stream(source).body
    assert next(body) == OPEN
    assert not started.is_set()
    assert next(body) == b"data: a\n\n"
    body.close()


def test_heartbeats_are_sent_before_the_first_event() -> None:
    source = Source()
    body = event_stream(source, heartbeat=0.02).body
    assert [next(body) for _ in range(3)] == [OPEN, b": ping\n\n", b": ping\n\n"]
    source.go.release()
    eventually(lambda: source.given)
    assert next(body) == b"data: 1\n\n"
    assert next(body) == b": ping\n\n"
    body.close()
    source.go.release()


def test_after_an_id_a_heartbeat_is_one_line() -> None:
    go = threading.Event()

    def source() -> Iterator[Event]:
        yield Event("a", id="1")
        go.wait(10)

    body = event_stream(source, heartbeat=0.02).body
    assert [next(body) for _ in range(3)] == [OPEN, b"id: 1\ndata: a\n\n", b": ping\n"]
    go.set()
    _rest(body)


def test_none_sends_no_heartbeat() -> None:
    def source() -> Iterator[str]:
        time.sleep(0.05)
        yield "a"

    assert _rest(event_stream(source, heartbeat=None).body) == [OPEN, b"data: a\n\n"]


def test_items_without_an_event_do_not_delay_a_heartbeat() -> None:
    over = threading.Event()

    def source() -> Iterator[Any]:
        while not over.wait(0.005):
            yield Finish("length")

    body = event_stream(source, heartbeat=0.05, openai=True).body
    assert [next(body), next(body)] == [OPEN, b": ping\n\n"]
    over.set()
    assert b'"finish_reason":"length"' in _rest(body)[-1]


def test_an_openai_stream_ends_with_done() -> None:
    reasons: list[str] = []
    answer = OpenAIAnswer(model="m", id="1", created=1)
    parts = _rest(event_stream(["a"], openai=answer, on_close=reasons.append).body)
    assert b'"model":"m"' in parts[1]
    assert b'"content":"a"' in parts[1]
    assert parts[-1].endswith(b"data: [DONE]\n\n")
    assert reasons == ["complete"]


def test_the_source_is_paused_while_the_server_does_not_read() -> None:
    source = Source()
    body = event_stream(source).body
    assert [next(body)] == [OPEN]
    for _ in range(1000):
        source.go.release()
    assert next(body) == b"data: 1\n\n"
    time.sleep(0.05)
    assert source.given < 30
    given = [next(body) for _ in range(500)]
    assert given[-1] == b"data: 501\n\n"
    body.close()
    eventually(lambda: source.closed)
    assert source.given < 550


def test_close_ends_a_source_that_waits_for_space() -> None:
    source = Source()
    reasons: list[str] = []
    body = event_stream(source, on_close=reasons.append).body
    for _ in range(1000):
        source.go.release()
    assert [next(body), next(body)] == [OPEN, b"data: 1\n\n"]
    body.close()
    eventually(lambda: source.closed)
    body.close()
    assert source.closed == ["undam source"]
    assert reasons == ["client-left"]
    assert list(body) == []


def test_close_does_not_wait_for_a_blocking_step() -> None:
    source = Source()
    body = event_stream(source, heartbeat=0.01).body
    assert [next(body), next(body)] == [OPEN, b": ping\n\n"]
    body.close()
    assert source.closed == []
    source.go.release()
    eventually(lambda: source.closed)
    assert source.given == 1


def test_an_iterator_that_never_ran_is_closed() -> None:
    source = Source()
    reasons: list[str] = []
    event_stream(source, on_close=reasons.append).body.close()
    assert source.closed == ["MainThread"]
    event_stream(["a"]).body.close()
    assert reasons == ["client-left"]


def _failing() -> Iterator[str]:
    yield "a"
    raise ValueError("the secret")


def test_an_error_event_without_text_is_followed_by_an_exception(caplog: Any) -> None:
    reasons: list[str] = []
    body = event_stream(_failing(), on_close=reasons.append).body
    parts = [next(body), next(body), next(body)]
    assert parts[2].startswith(b"event: error\ndata: {")
    assert b"secret" not in parts[2]
    with pytest.raises(StreamBroken):
        next(body)
    body.close()
    assert reasons == ["error"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "the secret" in caplog.text


def test_the_text_of_an_error_is_sent_with_expose_errors() -> None:
    body = event_stream(_failing(), expose_errors=True, openai=True).body
    parts = [next(body), next(body), next(body)]
    assert b"the secret" in parts[2]
    assert parts[2].startswith(b'data: {"error"')
    body.close()


def test_an_invalid_item_is_an_error_and_closes_the_source() -> None:
    source = Unsendable()
    body = event_stream(source).body
    source.go.release()
    assert next(body) == OPEN
    assert b"event: error" in next(body)
    source.go.release()
    eventually(lambda: source.closed)
    body.close()


def test_a_function_that_fails_or_returns_an_async_iterable_is_an_error() -> None:
    async def tokens() -> AsyncIterator[str]:
        yield "a"

    body = event_stream(tokens, expose_errors=True).body  # type: ignore[arg-type]
    assert next(body) == OPEN
    assert b"undam.asgi" in next(body)
    body.close()


async def _async_tokens() -> AsyncIterator[str]:
    yield "a"


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("text", {}, "single str"),
        (7, {}, "int"),
        (_async_tokens(), {}, "undam.asgi"),
        ([], {"heartbeat": 0}, "heartbeat"),
        ([], {"headers": {"a b": "c"}}, "header name"),
    ],
)
def test_invalid_arguments_are_rejected_immediately(
    source: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        event_stream(source, **options)


def test_the_source_runs_in_the_context_of_the_caller() -> None:
    user = contextvars.ContextVar("user", default="nobody")

    def source() -> Iterator[str]:
        yield user.get()

    token = user.set("ada")
    body = event_stream(source).body
    user.reset(token)
    assert _rest(body) == [OPEN, b"data: ada\n\n"]


def test_an_exception_of_on_close_is_logged_and_suppressed(caplog: Any) -> None:
    def fail(reason: str) -> None:
        raise ValueError(reason)

    assert _rest(event_stream(["a"], on_close=fail).body) == [OPEN, b"data: a\n\n"]
    assert "on_close of an event stream failed" in caplog.text
