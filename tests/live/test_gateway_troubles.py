"""Upstreams that break, refuse or fall silent, and clients that do not read."""

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
from support.gateway_process import ListeningCommand, undam_commands
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


_PLAYS = {
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
        self, play: str, *, stream: bool = True, path: str = "/v1/chat/completions"
    ) -> bytes:
        return send_raw(
            self.gateway.port, chat_request(play, headers=CLOSE, stream=stream, path=path)
        )

    def endings(self) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line)["ended"] for line in lines]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[One]:
    folder = tmp_path_factory.mktemp("troubles")
    with fake_upstream(**_PLAYS) as upstream, undam_commands(folder) as run:
        gateway = run(
            *("gateway", "--upstream", upstream.url, "--heartbeat", "0", "--eject-after", "1000"),
            *("--ttft-timeout", "0.4", "--idle-timeout", "0.4", "--tell-incomplete"),
            *("--send-timeout", str(_SEND_TIMEOUT_S), "--access-log", str(folder / "access")),
        )
        yield One(upstream, gateway, folder / "access")


@pytest.fixture
def sick() -> Iterator[FakeUpstream]:
    with fake_upstream(**_PLAYS) as upstream:
        yield upstream


def _events(answer: bytes) -> list[Event]:
    items = Parser().receive_data(split_response(answer)[1])
    return [item for item in items if isinstance(item, Event)]


@pytest.mark.parametrize(
    ("play", "said"),
    [
        ("dies", "closed the connection"),
        ("dies-in-an-event", "closed the connection"),
        ("dies-in-a-chunk", "closed the connection"),
        ("nonsense", "malformed"),
        ("stalls", "silent for 0.4 s"),
        ("incomplete", "before the response was complete"),
    ],
)
def test_a_stream_that_breaks_ends_with_an_error_and_not_in_good_order(
    one: One, play: str, said: str
) -> None:
    answer = one.send_raw(play)
    assert not is_complete(answer)
    *words, told = _events(answer)
    assert [json.loads(word.data)["choices"][0]["delta"].get("content") for word in words][
        -1
    ] == "a"
    assert said in json.loads(told.data)["error"]["message"]
    assert b"[DONE]" not in answer
    assert answer.endswith(b"}\n\n\r\n")


def test_a_plain_answer_that_breaks_is_cut_short(one: One) -> None:
    assert one.send_raw("short-body", stream=False).endswith(b"\r\n\r\nshort")


@pytest.mark.parametrize(
    ("play", "status", "said"),
    [
        ("no-http", 502, "malformed"),
        ("both-framings", 502, "malformed"),
        ("no-content", 504, "no content"),
    ],
)
def test_without_another_upstream_the_error_has_its_status_where_nothing_was_sent(
    one: One, play: str, status: int, said: str
) -> None:
    answer = one.send_raw(play)
    if play == "no-content":
        # Its head passed at once, as nobody else could be asked.
        assert said in json.loads(_events(answer)[-1].data)["error"]["message"]
        assert not is_complete(answer)
    else:
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert said in json.loads(split_response(answer)[1])["error"]["message"]


def test_a_status_passes_as_it_came_where_nobody_else_can_be_asked(one: One) -> None:
    answer = one.send_raw("busy")
    assert answer.startswith(b"HTTP/1.1 503 Busy\r\n")
    assert b"X-Own: 1" in answer
    assert answer.endswith(b"\r\n\r\nbusy")


@pytest.mark.parametrize(
    "play", ["refuses", "busy", "dies-after-the-role", "no-http", "no-content"]
)
def test_before_the_first_content_another_upstream_is_asked(
    tmp_path: Path, sick: FakeUpstream, play: str
) -> None:
    with fake_upstream() as well, undam_commands(tmp_path) as run:
        well.default = _good
        upstream = sick.url
        if play == "refuses":
            with socket.create_server(("127.0.0.1", 0)) as listener:
                upstream = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sick.default = _PLAYS.get(play.replace("-", "_"), _good)
        gateway = run(
            *("gateway", "--upstream", upstream, "--upstream", well.url, "--ttft-timeout", "0.15"),
            *("--eject-after", "1000"),
        )
        answers = [send_raw(gateway.port, chat_request(headers=CLOSE)) for _ in range(12)]
        for answer in answers:
            assert [json.loads(one.data) for one in _events(answer)[:-1]] == [
                json.loads(one[6:]) for one in (event(), event("good"))
            ]
            assert is_complete(answer)
        assert len(well.requests) == len(answers)
        assert play == "refuses" or sick.requests
        # What may not be sent twice is sent on only where nothing could have been done.
        answers = [
            send_raw(gateway.port, chat_request(headers=CLOSE, store=True)) for _ in range(12)
        ]
        passed = sum(is_complete(answer) and b"good" in answer for answer in answers)
        assert passed == 12 if play == "refuses" else passed < 12


def _rss_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])


def test_clients_that_do_not_read_cost_little_and_are_cut(one: One) -> None:
    pid = one.gateway.process.pid
    before = _rss_kb(pid)
    frozen = [RawConnection(one.gateway.port, chat_request("flood")) for _ in range(_FLOODS)]
    try:
        grown = []
        for _ in range(5):
            time.sleep(0.05)
            grown.append(_rss_kb(pid) - before)
            # Others are served as if nothing were.
            assert is_complete(one.send_raw("good"))
        whole_kb = _FLOODS * _FLOOD_EVENTS * len(_FLOOD) >> 10
        assert max(grown) < min(_FLOODS * 1024, whole_kb / 10)
        eventually(lambda: one.endings().count("client-frozen") == _FLOODS)
        got = [talk.rest() for talk in frozen]
    finally:
        for talk in frozen:
            talk.sock.close()
    assert not any(is_complete(answer) for answer in got)


def test_a_client_that_reads_slowly_gets_all(one: One) -> None:
    with RawConnection(one.gateway.port, chat_request("flood", headers=CLOSE)) as talk:
        # Twice it rests, each time for less than what counts as frozen but together longer.
        for _ in range(3):
            time.sleep(_SEND_TIMEOUT_S * 0.6)
            talk.until(b"x" * 4000)
            for _ in range(50):
                talk.read()
        answer = talk.rest()
    assert is_complete(answer)
    assert split_response(answer)[1] == _FLOOD * _FLOOD_EVENTS + DONE


def test_a_client_that_asks_ahead_and_takes_nothing_gets_no_more(one: One) -> None:
    pid = one.gateway.process.pid
    before, requests = _rss_kb(pid), len(one.upstream.requests)
    with RawConnection(one.gateway.port) as talk:
        talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        talk.sock.sendall(chat_request("large", stream=False) * 600)
        time.sleep(0.5)
        assert len(one.upstream.requests) - requests < 300
        assert _rss_kb(pid) - before < 4096


def test_nothing_is_left_open(one: One) -> None:
    """After all that: threads of the upstream have ended, and so have the gateway's sockets."""
    pid = one.gateway.process.pid
    eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) < 40)  # noqa: PTH208
    assert threading.active_count() < 60
