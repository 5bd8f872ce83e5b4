"""Two upstreams of a real gateway race for a request; the client gets only the winner's data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.chunked import LAST_CHUNK
from support.eventually import eventually
from support.fake_upstream import (
    DONE,
    STREAM_HEAD,
    FakeUpstream,
    Handler,
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

pytestmark = pytest.mark.live

CLOSE = "Connection: close\r\n"
_HEDGE_MS = 100
_TTFT = "gen_ai_server_time_to_first_token_seconds"


class Two(NamedTuple):
    first: FakeUpstream
    second: FakeUpstream
    gateway: ListeningCommand

    def use_handler(self, handler: Handler) -> None:
        """Send quick requests until the hedge budget allows one hedge, then install ``handler``."""
        self.first.default = self.second.default = lambda request: _answer(request, "quick")
        with RawConnection(self.gateway.port) as connection:
            for number in range(22):
                connection.sock.sendall(chat_request())
                while connection.data.count(DONE) <= number:
                    connection.read()
        self.first.requests.clear()
        self.second.requests.clear()
        self.first.default = self.second.default = handler


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with (
        fake_upstream() as first,
        fake_upstream() as second,
        undam_commands(tmp_path_factory.mktemp("race")) as run,
    ):
        arguments = ("--upstream", first.url, "--upstream", second.url)
        yield Two(first, second, run("gateway", *arguments, "--hedge", str(_HEDGE_MS)))


def _answer(request: UpstreamRequest, name: str) -> None:
    request.send(STREAM_HEAD)
    request.chunks(b": from " + name.encode() + b"\n\n", event(), event(name), DONE)
    request.send(LAST_CHUNK)


def _expected(name: str) -> bytes:
    return b": from " + name.encode() + b"\n\n" + event() + event(name) + DONE


def _overtaken(
    attempts: list[UpstreamRequest], stall: Callable[[UpstreamRequest], object]
) -> Handler:
    """Return a handler that runs ``stall`` for the first attempt and answers the second attempt."""

    def handler(request: UpstreamRequest) -> None:
        attempts.append(request)
        if len(attempts) > 1:
            _answer(request, "second")
        else:
            stall(request)

    return handler


@pytest.mark.parametrize("manner", ["silent", "head", "comments"])
def test_a_stalled_upstream_loses_and_none_of_its_data_is_forwarded(two: Two, manner: str) -> None:
    attempts: list[UpstreamRequest] = []

    def stall(request: UpstreamRequest) -> None:
        if manner != "silent":
            request.send(STREAM_HEAD)
            request.chunks(event(role="of the loser"))
        end = time.monotonic() + 5
        while time.monotonic() < end and not request.wait_for_disconnect(0.02):
            if manner == "comments":
                request.chunks(b": of the loser\n\n")

    two.use_handler(_overtaken(attempts, stall))
    began = time.monotonic()
    response = send_raw(two.gateway.port, chat_request(headers=CLOSE))
    took = time.monotonic() - began
    assert is_complete(response)
    body = split_response(response)[1]
    # Any data before the response may be heartbeats of the gateway.
    assert body.replace(b": ping\n", b"") == _expected("second")
    assert b"loser" not in response
    assert _HEDGE_MS / 1000 <= took < 4
    eventually(lambda: attempts[0].disconnected_at is not None)
    assert len(attempts) == 2


def test_the_first_attempt_may_win_after_the_hedge_was_sent(two: Two) -> None:
    attempts: list[UpstreamRequest] = []

    def handler(request: UpstreamRequest) -> None:
        attempts.append(request)
        if len(attempts) > 1:
            request.send(STREAM_HEAD)
            request.chunks(event(role="of the loser"))
            request.wait_for_disconnect()
        else:
            time.sleep(_HEDGE_MS / 1000 * 2)
            _answer(request, "first")

    two.use_handler(handler)
    response = send_raw(two.gateway.port, chat_request(headers=CLOSE))
    assert split_response(response)[1] == _expected("first")
    eventually(lambda: len(attempts) == 2 and attempts[1].disconnected_at is not None)


@pytest.mark.parametrize(
    ("early", "is_content"),
    [(event("Here"), True), (event(note={"content": "none yet"}), False)],
    ids=["content", "lookalike"],
)
def test_data_that_looks_like_content_is_forwarded_and_counts_only_if_it_is_content(
    two: Two, early: bytes, is_content: bool
) -> None:
    attempts: list[UpstreamRequest] = []
    pause_s = 3 * _HEDGE_MS / 1000

    def handler(request: UpstreamRequest) -> None:
        attempts.append(request)
        request.send(STREAM_HEAD)
        request.chunks(event(), early)
        time.sleep(pause_s)
        request.chunks(event("at last"), DONE)
        request.send(LAST_CHUNK)

    two.use_handler(handler)
    took_s, count = (two.gateway.metric(_TTFT + part) for part in ("_sum", "_count"))
    response = send_raw(two.gateway.port, chat_request(headers=CLOSE))
    head, body = split_response(response)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == event() + early + event("at last") + DONE
    # Data from the first attempt was already forwarded, so no hedge may be sent.
    assert len(attempts) == 1
    assert two.gateway.metric(_TTFT + "_count") == count + 1
    assert (two.gateway.metric(_TTFT + "_sum") - took_s < pause_s) is is_content


def test_if_one_of_two_attempts_fails_the_other_continues(two: Two) -> None:
    attempts: list[UpstreamRequest] = []

    def handler(request: UpstreamRequest) -> str | None:
        attempts.append(request)
        if len(attempts) == 1:
            request.send(STREAM_HEAD)
            request.chunks(event(role="of the loser"))
            time.sleep(_HEDGE_MS / 1000 * 2)
            return "close"
        time.sleep(_HEDGE_MS / 1000 * 2)
        _answer(request, "second")
        return None

    two.use_handler(handler)
    response = send_raw(two.gateway.port, chat_request(headers=CLOSE))
    assert is_complete(response)
    assert split_response(response)[1] == _expected("second")
    assert len(attempts) == 2


@pytest.mark.parametrize("more", [{"store": True}, {"stream": False}])
def test_unsafe_requests_and_requests_without_a_stream_are_never_hedged(
    two: Two, more: dict[str, Any]
) -> None:
    def handler(request: UpstreamRequest) -> None:
        time.sleep(_HEDGE_MS / 1000 * 3)
        _answer(request, "only")

    two.use_handler(handler)
    response = send_raw(two.gateway.port, chat_request(headers=CLOSE, **more))
    assert split_response(response)[1] == _expected("only")
    assert len(two.first.requests) + len(two.second.requests) == 1


def test_an_early_head_does_not_prevent_a_hedge_without_retries(
    tmp_path: Path,
) -> None:
    with fake_upstream() as first, fake_upstream() as second, undam_commands(tmp_path) as run:
        upstreams = ("--upstream", first.url, "--upstream", second.url)
        hedging = ("--retries", "0", "--hedge", str(_HEDGE_MS))
        two = Two(first, second, run("gateway", *upstreams, *hedging))

        def stall(request: UpstreamRequest) -> None:
            request.send(STREAM_HEAD)  # sent while the hedge delay is still unknown
            request.wait_for_disconnect()

        two.use_handler(_overtaken([], stall))
        assert split_response(send_raw(two.gateway.port, chat_request(headers=CLOSE)))[
            1
        ] == _expected("second")


def test_an_attempt_that_fails_at_once_is_counted(tmp_path: Path) -> None:
    with fake_upstream() as upstream, undam_commands(tmp_path) as run:
        upstream.default = lambda _: "close"
        gateway = run("gateway", "--upstream", upstream.url, "--retries", "0")
        for _ in range(3):
            assert send_raw(gateway.port, chat_request(headers=CLOSE)).startswith(b"HTTP/1.1 502 ")
        name = "undam_gateway_upstream_requests_total"
        eventually(lambda: gateway.metric(name, why="first") == 3)
        assert gateway.metric("undam_gateway_upstream_in_flight") == 0
