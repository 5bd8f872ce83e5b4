"""Gateway behaviour when upstreams fail or stall, and when clients do not read."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.eventually import eventually
from support.fake_upstream import (
    DONE,
    STREAM_HEAD,
    FakeUpstream,
    RawConnection,
    UpstreamRequest,
    chat_request,
    event,
    fake_upstream,
    is_complete,
    send_raw,
    split_response,
)
from support.gateway_process import undam_commands
from support.undam_command import ListeningCommand
from undam.sse import Event, Parser

pytestmark = pytest.mark.live

CLOSE = "Connection: close\r\n"
_FLOOD = event("x" * 4000)
_FLOOD_EVENTS = 4000
_FLOODS = 8
_SEND_TIMEOUT_S = 1.0


def _good(request: UpstreamRequest) -> None:
    request.send(STREAM_HEAD)
    request.chunks(event(), event("good"), DONE)
    request.send(LAST_CHUNK)


def _dies(request: UpstreamRequest) -> str:
    request.send(STREAM_HEAD)
    request.chunks(event(), event("a"))
    time.sleep(0.05)
    return "close"


def _dies_in_an_event(request: UpstreamRequest) -> str:
    request.send(STREAM_HEAD)
    request.chunks(event(), event("a"), b'data: {"choices": [{"del')
    time.sleep(0.05)
    return "close"


def _dies_in_a_chunk(request: UpstreamRequest) -> str:
    request.send(STREAM_HEAD)
    request.chunks(event(), event("a"))
    request.send(chunk(event("b"))[:-20])
    time.sleep(0.05)
    return "close"


def _dies_after_the_role(request: UpstreamRequest) -> str:
    request.send(STREAM_HEAD)
    request.chunks(event(), b": working\n\n")
    time.sleep(0.02)
    return "close"


def _nonsense(request: UpstreamRequest) -> str:
    request.send(STREAM_HEAD)
    request.chunks(event("a"))
    time.sleep(0.05)
    request.send(b"zz\r\n")
    request.wait_for_disconnect(5)
    return "close"


def _short_body(request: UpstreamRequest) -> str:
    request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
    return "close"


def _no_http(request: UpstreamRequest) -> str:
    request.send(b"SSH-2.0-OpenSSH\r\n")
    request.wait_for_disconnect(5)
    return "close"


def _busy(request: UpstreamRequest) -> None:
    request.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nX-Own: 1\r\n\r\nbusy")


def _incomplete(request: UpstreamRequest) -> None:
    request.send(STREAM_HEAD)
    request.chunks(event(), event("a"))
    request.send(LAST_CHUNK)


def _no_content(request: UpstreamRequest) -> None:
    request.send(STREAM_HEAD)
    with contextlib.suppress(OSError):
        for _ in range(100):
            request.chunks(event(), b": working\n\n")
            time.sleep(0.05)


def _stalls(request: UpstreamRequest) -> None:
    request.send(STREAM_HEAD)
    request.chunks(event("a"))
    request.wait_for_disconnect(10)


def _flood(request: UpstreamRequest) -> None:
    request.send(STREAM_HEAD)
    sent = 0
    for sent in range(_FLOOD_EVENTS):  # noqa: B007
        request.chunks(_FLOOD)
    request.chunks(DONE)
    request.send(LAST_CHUNK)


def _large(request: UpstreamRequest) -> None:
    request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + bytes(50_000))


def _both_framings(request: UpstreamRequest) -> str:
    request.send(STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"))
    request.chunks(event("a"))
    request.send(LAST_CHUNK)
    return "close"


_HANDLERS = {
    "large": _large, "both_framings": _both_framings,
    "good": _good, "dies": _dies, "dies_in_an_event": _dies_in_an_event, "nonsense": _nonsense,
    "dies_in_a_chunk": _dies_in_a_chunk, "dies_after_the_role": _dies_after_the_role,
    "short_body": _short_body, "no_http": _no_http, "busy": _busy, "incomplete": _incomplete,
    "no_content": _no_content, "stalls": _stalls, "flood": _flood,
}  # fmt: skip


class One(NamedTuple):
    upstream: FakeUpstream
    gateway: ListeningCommand
    log: Path

    def send_raw(
        self, handler: str, *, stream: bool = True, path: str = "/v1/chat/completions"
    ) -> bytes:
        return send_raw(
            self.gateway.port, chat_request(handler, headers=CLOSE, stream=stream, path=path)
        )

    def end_reasons(self) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line)["ended"] for line in lines]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[One]:
    folder = tmp_path_factory.mktemp("troubles")
    with fake_upstream(**_HANDLERS) as upstream, undam_commands(folder) as run:
        gateway = run(
            *("gateway", "--upstream", upstream.url, "--heartbeat", "0", "--eject-after", "1000"),
            *("--ttft-timeout", "0.4", "--idle-timeout", "0.4", "--tell-incomplete"),
            *("--send-timeout", str(_SEND_TIMEOUT_S), "--access-log", str(folder / "access")),
        )
        yield One(upstream, gateway, folder / "access")


@pytest.fixture
def failing() -> Iterator[FakeUpstream]:
    with fake_upstream(**_HANDLERS) as upstream:
        yield upstream


def _events(response: bytes) -> list[Event]:
    items = Parser().receive_data(split_response(response)[1])
    return [item for item in items if isinstance(item, Event)]


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        ("dies", "closed the connection"),
        ("dies-in-an-event", "closed the connection"),
        ("dies-in-a-chunk", "closed the connection"),
        ("nonsense", "malformed"),
        ("stalls", "silent for 0.4 s"),
        ("incomplete", "before the response was complete"),
    ],
)
def test_a_broken_stream_ends_with_an_error_event_and_an_abnormal_end(
    one: One, handler: str, message: str
) -> None:
    response = one.send_raw(handler)
    assert not is_complete(response)
    *events, error_event = _events(response)
    assert [json.loads(one.data)["choices"][0]["delta"].get("content") for one in events][-1] == "a"
    assert message in json.loads(error_event.data)["error"]["message"]
    assert b"[DONE]" not in response
    assert response.endswith(b"}\n\n\r\n")


def test_a_broken_response_without_a_stream_is_truncated(one: One) -> None:
    assert one.send_raw("short-body", stream=False).endswith(b"\r\n\r\nshort")


@pytest.mark.parametrize(
    ("handler", "status", "message"),
    [
        ("no-http", 502, "malformed"),
        ("both-framings", 502, "malformed"),
        ("no-content", 504, "no content"),
    ],
)
def test_without_another_upstream_an_error_has_a_status_if_nothing_was_sent(
    one: One, handler: str, status: int, message: str
) -> None:
    response = one.send_raw(handler)
    if handler == "no-content":
        # The head was forwarded immediately, because no other upstream could be tried.
        assert message in json.loads(_events(response)[-1].data)["error"]["message"]
        assert not is_complete(response)
    else:
        assert response.startswith(b"HTTP/1.1 %d " % status)
        assert message in json.loads(split_response(response)[1])["error"]["message"]


def test_an_error_status_is_forwarded_if_there_is_no_other_upstream(one: One) -> None:
    response = one.send_raw("busy")
    assert response.startswith(b"HTTP/1.1 503 Busy\r\n")
    assert b"X-Own: 1" in response
    assert response.endswith(b"\r\n\r\nbusy")


@pytest.mark.parametrize(
    "handler", ["refuses", "busy", "dies-after-the-role", "no-http", "no-content"]
)
def test_a_failure_before_the_first_content_is_retried_elsewhere(
    tmp_path: Path, failing: FakeUpstream, handler: str
) -> None:
    with fake_upstream() as healthy, undam_commands(tmp_path) as run:
        healthy.default = _good
        upstream = failing.url
        if handler == "refuses":
            with socket.create_server(("127.0.0.1", 0)) as listener:
                upstream = f"http://127.0.0.1:{listener.getsockname()[1]}"
        failing.default = _HANDLERS.get(handler.replace("-", "_"), _good)
        gateway = run(
            *(
                "gateway",
                "--upstream",
                upstream,
                "--upstream",
                healthy.url,
                "--ttft-timeout",
                "0.15",
            ),
            *("--eject-after", "1000"),
        )
        responses = [send_raw(gateway.port, chat_request(headers=CLOSE)) for _ in range(12)]
        for response in responses:
            assert [json.loads(one.data) for one in _events(response)[:-1]] == [
                json.loads(one[6:]) for one in (event(), event("good"))
            ]
            assert is_complete(response)
        assert len(healthy.requests) == len(responses)
        assert handler == "refuses" or failing.requests
        # A request with `store` is unsafe to repeat, so it is retried only if the first upstream
        # cannot have processed it.
        before, passed, sent = len(failing.requests), 0, 0
        while sent < 12 or (handler != "refuses" and len(failing.requests) == before):
            response = send_raw(gateway.port, chat_request(headers=CLOSE, store=True))
            passed += is_complete(response) and b"good" in response
            sent += 1
            time.sleep(0.05)  # a failing upstream gets fewer requests for one second
        assert passed == sent - (len(failing.requests) - before)


def _rss_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])


def test_clients_that_do_not_read_use_little_memory_and_are_disconnected(one: One) -> None:
    pid = one.gateway.process.pid
    before = _rss_kb(pid)
    frozen = [RawConnection(one.gateway.port, chat_request("flood")) for _ in range(_FLOODS)]
    try:
        growth_kb = []
        for _ in range(5):
            time.sleep(0.05)
            growth_kb.append(_rss_kb(pid) - before)
            # Other clients are not affected.
            assert is_complete(one.send_raw("good"))
        whole_kb = _FLOODS * _FLOOD_EVENTS * len(_FLOOD) >> 10
        assert max(growth_kb) < min(_FLOODS * 1024, whole_kb / 10)
        eventually(lambda: one.end_reasons().count("client-frozen") == _FLOODS)
        received = [connection.rest() for connection in frozen]
    finally:
        for connection in frozen:
            connection.sock.close()
    assert not any(is_complete(response) for response in received)


def test_a_slow_client_gets_everything(one: One) -> None:
    with RawConnection(one.gateway.port, chat_request("flood", headers=CLOSE)) as connection:
        # Each pause is shorter than the send timeout, but their sum is longer.
        for _ in range(3):
            time.sleep(_SEND_TIMEOUT_S * 0.6)
            connection.until(b"x" * 4000)
            for _ in range(50):
                connection.read()
        response = connection.rest()
    assert is_complete(response)
    assert split_response(response)[1] == _FLOOD * _FLOOD_EVENTS + DONE


def test_pipelined_requests_of_a_client_that_does_not_read_are_not_handled(one: One) -> None:
    pid = one.gateway.process.pid
    before, requests = _rss_kb(pid), len(one.upstream.requests)
    with RawConnection(one.gateway.port) as connection:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sock.sendall(chat_request("large", stream=False) * 600)
        time.sleep(0.5)
        assert len(one.upstream.requests) - requests < 300
        assert _rss_kb(pid) - before < 4096


def test_no_socket_is_left_open(one: One) -> None:
    """After all other tests, the gateway's sockets are closed and the upstream's threads ended."""
    pid = one.gateway.process.pid
    eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) < 40)  # noqa: PTH208
    assert threading.active_count() < 60
