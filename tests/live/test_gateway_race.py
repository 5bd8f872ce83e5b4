"""Two upstreams of the real gateway race for one request: what the client gets, and what it must
never see."""

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
from support.gateway_process import ListeningCommand, undam_commands

pytestmark = pytest.mark.live

CLOSE = "Connection: close\r\n"
_HEDGE_MS = 100
_TTFT = "gen_ai_server_time_to_first_token_seconds"


class Two(NamedTuple):
    first: FakeUpstream
    second: FakeUpstream
    gateway: ListeningCommand

    def play(self, play: Handler) -> None:
        """Save up for one hedge by requests that need none, then have ``play`` played."""
        self.first.default = self.second.default = lambda request: _answer(request, "quick")
        with RawConnection(self.gateway.port) as talk:
            for number in range(22):
                talk.sock.sendall(chat_request())
                while talk.data.count(DONE) <= number:
                    talk.read()
        self.first.requests.clear()
        self.second.requests.clear()
        self.first.default = self.second.default = play


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
    request.chunks(b": mine is " + name.encode() + b"\n\n", event(), event(name), DONE)
    request.send(LAST_CHUNK)


def _expected(name: str) -> bytes:
    return b": mine is " + name.encode() + b"\n\n" + event() + event(name) + DONE


def _overtaken(asked: list[UpstreamRequest], stall: Callable[[UpstreamRequest], object]) -> Handler:
    """Whoever is asked first does only what ``stall`` says; the second one answers."""

    def play(request: UpstreamRequest) -> None:
        asked.append(request)
        if len(asked) > 1:
            _answer(request, "second")
        else:
            stall(request)

    return play


@pytest.mark.parametrize("manner", ["silent", "head", "comments"])
def test_a_stalled_upstream_is_overtaken_and_nothing_of_it_is_seen(two: Two, manner: str) -> None:
    asked: list[UpstreamRequest] = []

    def stall(request: UpstreamRequest) -> None:
        if manner != "silent":
            request.send(STREAM_HEAD)
            request.chunks(event(role="of the loser"))
        end = time.monotonic() + 5
        while time.monotonic() < end and not request.wait_for_disconnect(0.02):
            if manner == "comments":
                request.chunks(b": of the loser\n\n")

    two.play(_overtaken(asked, stall))
    began = time.monotonic()
    answer = send_raw(two.gateway.port, chat_request(headers=CLOSE))
    took = time.monotonic() - began
    assert is_complete(answer)
    body = split_response(answer)[1]
    # A comment of the gateway's own may say that somebody is at work.
    assert body.replace(b": ping\n", b"") == _expected("second")
    assert b"loser" not in answer
    assert _HEDGE_MS / 1000 <= took < 4
    eventually(lambda: asked[0].disconnected_at is not None)
    assert len(asked) == 2


def test_the_first_may_win_after_all(two: Two) -> None:
    asked: list[UpstreamRequest] = []

    def play(request: UpstreamRequest) -> None:
        asked.append(request)
        if len(asked) > 1:
            request.send(STREAM_HEAD)
            request.chunks(event(role="of the loser"))
            request.wait_for_disconnect()
        else:
            time.sleep(_HEDGE_MS / 1000 * 2)
            _answer(request, "first")

    two.play(play)
    answer = send_raw(two.gateway.port, chat_request(headers=CLOSE))
    assert split_response(answer)[1] == _expected("first")
    eventually(lambda: len(asked) == 2 and asked[1].disconnected_at is not None)


@pytest.mark.parametrize(
    ("early", "is_content"),
    [(event("Here"), True), (event(note={"content": "none yet"}), False)],
    ids=["content", "what only looks like it"],
)
def test_what_looks_like_content_is_passed_on_and_counts_if_it_is(
    two: Two, early: bytes, is_content: bool
) -> None:
    asked: list[UpstreamRequest] = []
    pause_s = 3 * _HEDGE_MS / 1000

    def play(request: UpstreamRequest) -> None:
        asked.append(request)
        request.send(STREAM_HEAD)
        request.chunks(event(), early)
        time.sleep(pause_s)
        request.chunks(event("at last"), DONE)
        request.send(LAST_CHUNK)

    two.play(play)
    took_s, count = (two.gateway.metric(_TTFT + part) for part in ("_sum", "_count"))
    answer = send_raw(two.gateway.port, chat_request(headers=CLOSE))
    head, body = split_response(answer)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == event() + early + event("at last") + DONE
    assert len(asked) == 1  # Too late to ask another one: something of the first one was seen.
    assert two.gateway.metric(_TTFT + "_count") == count + 1
    assert (two.gateway.metric(_TTFT + "_sum") - took_s < pause_s) is is_content


def test_if_one_of_two_fails_the_other_one_goes_on(two: Two) -> None:
    asked: list[UpstreamRequest] = []

    def play(request: UpstreamRequest) -> str | None:
        asked.append(request)
        if len(asked) == 1:
            request.send(STREAM_HEAD)
            request.chunks(event(role="of the loser"))
            time.sleep(_HEDGE_MS / 1000 * 2)
            return "close"
        time.sleep(_HEDGE_MS / 1000 * 2)
        _answer(request, "second")
        return None

    two.play(play)
    answer = send_raw(two.gateway.port, chat_request(headers=CLOSE))
    assert is_complete(answer)
    assert split_response(answer)[1] == _expected("second")
    assert len(asked) == 2


@pytest.mark.parametrize("more", [{"store": True}, {"stream": False}])
def test_what_is_not_safe_or_no_stream_is_never_sent_twice(two: Two, more: dict[str, Any]) -> None:
    def play(request: UpstreamRequest) -> None:
        time.sleep(_HEDGE_MS / 1000 * 3)
        _answer(request, "only")

    two.play(play)
    answer = send_raw(two.gateway.port, chat_request(headers=CLOSE, **more))
    assert split_response(answer)[1] == _expected("only")
    assert len(two.first.requests) + len(two.second.requests) == 1


def test_an_early_head_does_not_end_the_race_where_only_a_hedge_may_follow(
    tmp_path: Path,
) -> None:
    with fake_upstream() as first, fake_upstream() as second, undam_commands(tmp_path) as run:
        upstreams = ("--upstream", first.url, "--upstream", second.url)
        hedging = ("--retries", "0", "--hedge", str(_HEDGE_MS))
        two = Two(first, second, run("gateway", *upstreams, *hedging))

        def stall(request: UpstreamRequest) -> None:
            request.send(STREAM_HEAD)  # Before anybody had the time to think of a hedge.
            request.wait_for_disconnect()

        two.play(_overtaken([], stall))
        assert split_response(send_raw(two.gateway.port, chat_request(headers=CLOSE)))[
            1
        ] == _expected("second")


def test_what_fails_at_once_was_sent_all_the_same(tmp_path: Path) -> None:
    with fake_upstream() as upstream, undam_commands(tmp_path) as run:
        upstream.default = lambda _: "close"
        gateway = run("gateway", "--upstream", upstream.url, "--retries", "0")
        for _ in range(3):
            assert send_raw(gateway.port, chat_request(headers=CLOSE)).startswith(b"HTTP/1.1 502 ")
        name = "undam_gateway_upstream_requests_total"
        eventually(lambda: gateway.metric(name, why="first") == 3)
        assert gateway.metric("undam_gateway_upstream_in_flight") == 0
