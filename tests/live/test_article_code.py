"""`undam check` on the unmodified FastAPI code from the article that inspired this project."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
import uvicorn

from support.uvicorn_thread import TIMEOUT_S, under_uvicorn
from undam.asgi import EventStream
from undam.diagnosis.diagnose import find_findings
from undam.diagnosis.hop import analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.probe import CheckOptions, Place, Report, report_json, run_check
from undam.record import Exchange, Stamps
from undam.rules import Finding, Severity

_KNOB_2 = """
import asyncio
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
app = FastAPI()
async def stream_tokens(prompt: str):
    async for token in model.stream(prompt):
        yield f"data: {token}\\n\\n".encode("utf-8")
        # The crucial line. Without it, asyncio buffers 64 KB.
        await asyncio.sleep(0)
@app.post("/v1/stream")
async def stream(prompt: str):
    return StreamingResponse(
        stream_tokens(prompt),
        media_type="text/event-stream",
        headers={
            "Cache-Control": "no-cache",
            "X-Accel-Buffering": "no",
            "Connection": "keep-alive",
        },
    )
"""

_KNOB_4 = """
async def stream_tokens(prompt: str):
    loop = asyncio.get_event_loop()
    yield b": ping\\n\\n"   # SSE comment, ignored by clients
    last = loop.time()
    async for token in model.stream(prompt):
        now = loop.time()
        if now - last > 15:
            yield b": ping\\n\\n"
            last = now
        yield f"data: {token}\\n\\n".encode()
        await asyncio.sleep(0)
"""

FASTER = 20
"""Speed of the clock of `_FastLoop`; measured times are multiplied by the same factor."""


class _Model:
    """The article's ``model``: it yields 40 tokens, and can pause or fail before one of them."""

    def __init__(self, at: int = 0, *, think_s: float = 0.0, fail: bool = False) -> None:
        self._at = at
        self._think_s = think_s
        self._fail = fail

    async def stream(self, prompt: str) -> AsyncIterator[str]:
        for number in range(40):
            await asyncio.sleep(0.5 if self._think_s else 0.025)
            if number == self._at:
                await asyncio.sleep(self._think_s)
                if self._fail:
                    raise RuntimeError("the model failed")
            yield f" {number}"


class _FastSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        return super().select(timeout if timeout is None else timeout / FASTER)


class _FastLoop(asyncio.SelectorEventLoop):
    """Event loop whose clock runs 20 times faster: a sleep of 22 s takes 1.1 s."""

    def __init__(self) -> None:
        super().__init__(_FastSelector())

    def time(self) -> float:
        return super().time() * FASTER


def _printed(model: _Model, *code: str) -> Any:
    names: dict[str, Any] = {"model": model, "__name__": "article"}
    for part in code:
        exec(part, names)
    return names["app"]


@contextlib.contextmanager
def _fast(app: Any) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_level="critical"))
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with asyncio.Runner(loop_factory=_FastLoop) as runner:
            runner.run(server.serve([listener]))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        give_up = time.monotonic() + TIMEOUT_S
        while not server.started:
            assert time.monotonic() < give_up, "uvicorn did not start"
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(TIMEOUT_S)
        listener.close()
        assert not thread.is_alive()


def _check(url: str) -> Report:
    # FastAPI reads a string parameter from the query string.
    place = Place("edge", f"{url}/v1/stream?prompt=hi")
    return asyncio.run(run_check(CheckOptions(places=(place,), method="POST")))


def _stretched(exchange: Exchange) -> Exchange:
    start = exchange.stamps.start_ns

    def at(ns: int) -> int:
        return start + (ns - start) * FASTER

    names = ("dns_ns", "connect_ns", "sent_ns", "head_ns")
    taken = {name: getattr(exchange.stamps, name) for name in names}
    stamps = {name: ns if ns is None else at(ns) for name, ns in taken.items()}
    return replace(
        exchange,
        stamps=Stamps(start_ns=start, **stamps),
        arrivals=tuple(replace(one, at_ns=at(one.at_ns)) for one in exchange.arrivals),
        ended_ns=at(exchange.ended_ns),
    )


def _found(url: str) -> dict[str, Finding]:
    """Return the findings of a check after all times are scaled to the application's clock."""
    (exchange,) = _check(url).exchanges
    hop = analyze_hop([read_exchange(_stretched(exchange))])
    return {one.code: one for one in find_findings([hop], None)}


def test_it_streams_and_lacks_two_of_the_headers() -> None:
    with under_uvicorn(_printed(_Model(), _KNOB_2)) as url:
        report = _check(url)
    assert report_json(report)["verdict"] == "streaming"
    found = {one.code: one for one in report.findings if not one.code.startswith("UD9")}
    assert found.keys() == {"UD202"}
    assert found["UD202"].severity is Severity.INFO
    missing = found["UD202"].evidence["missing"]
    assert missing == "Cache-Control: no-cache, no-transform, Incremental: ?1"


def test_it_is_silent_while_the_model_thinks() -> None:
    with _fast(_printed(_Model(think_s=25), _KNOB_2)) as url:
        found = _found(url)
    assert found["UD402"].severity is Severity.WARNING
    assert float(str(found["UD402"].evidence["silent_s"])) > 20


@pytest.mark.parametrize("at", [0, 20])
def test_its_heartbeat_never_comes_in_silence(at: int) -> None:
    # The heartbeat arrives together with the token that ends the idle period.
    with _fast(_printed(_Model(at, think_s=25), _KNOB_2.partition("@app")[0], _KNOB_4,
                        "@app" + _KNOB_2.partition("@app")[2])) as url:  # fmt: skip
        found = _found(url)
    assert found["UD401"].severity is Severity.WARNING
    assert float(str(found["UD401"].evidence["silent_s"])) > 20


def test_an_event_stream_in_its_place_is_found_nothing_against() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        # undam uses the real clock, in which 15 s of the application last 15 / FASTER s.
        stream = EventStream(_Model(20, think_s=25).stream("hi"), heartbeat=15 / FASTER)
        await stream(scope, receive, send)

    with _fast(app) as url:
        found = _found(url)
    assert [code for code in found if not code.startswith("UD9")] == []


def test_it_breaks_off_without_a_word_when_the_model_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL + 1)
    with under_uvicorn(_printed(_Model(20, fail=True), _KNOB_2)) as url:
        report = _check(url)
    (exchange,) = report.exchanges
    assert b"error" not in b"".join(one.data for one in exchange.arrivals)
    assert {"UD602", "UD202"} <= {one.code for one in report.findings}
