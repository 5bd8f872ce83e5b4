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
    Play,
    PlayedUpstream,
    Talk,
    Visit,
    ask,
    event,
    is_whole,
    played,
    request,
    split,
)
from support.gateway_process import Started, started

pytestmark = pytest.mark.live

CLOSE = "Connection: close\r\n"
_HEDGE_MS = 100
_TTFT = "gen_ai_server_time_to_first_token_seconds"


class Two(NamedTuple):
    first: PlayedUpstream
    second: PlayedUpstream
    gateway: Started

    def play(self, play: Play) -> None:
        """Save up for one hedge by requests that need none, then have ``play`` played."""
        self.first.default = self.second.default = lambda visit: _answer(visit, "quick")
        with Talk(self.gateway.port) as talk:
            for number in range(22):
                talk.sock.sendall(request())
                while talk.data.count(DONE) <= number:
                    talk.read()
        self.first.visits.clear()
        self.second.visits.clear()
        self.first.default = self.second.default = play


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with played() as first, played() as second, started(tmp_path_factory.mktemp("race")) as run:
        arguments = ("--upstream", first.url, "--upstream", second.url)
        yield Two(first, second, run("gateway", *arguments, "--hedge", str(_HEDGE_MS)))


def _answer(visit: Visit, name: str) -> None:
    visit.send(STREAM_HEAD)
    visit.chunks(b": mine is " + name.encode() + b"\n\n", event(), event(name), DONE)
    visit.send(LAST_CHUNK)


def _expected(name: str) -> bytes:
    return b": mine is " + name.encode() + b"\n\n" + event() + event(name) + DONE


def _overtaken(asked: list[Visit], stall: Callable[[Visit], object]) -> Play:
    """Whoever is asked first does only what ``stall`` says; the second one answers."""

    def play(visit: Visit) -> None:
        asked.append(visit)
        if len(asked) > 1:
            _answer(visit, "second")
        else:
            stall(visit)

    return play


@pytest.mark.parametrize("manner", ["silent", "head", "comments"])
def test_a_stalled_upstream_is_overtaken_and_nothing_of_it_is_seen(two: Two, manner: str) -> None:
    asked: list[Visit] = []

    def stall(visit: Visit) -> None:
        if manner != "silent":
            visit.send(STREAM_HEAD)
            visit.chunks(event(role="of the loser"))
        end = time.monotonic() + 5
        while time.monotonic() < end and not visit.wait_left(0.02):
            if manner == "comments":
                visit.chunks(b": of the loser\n\n")

    two.play(_overtaken(asked, stall))
    began = time.monotonic()
    answer = ask(two.gateway.port, request(headers=CLOSE))
    took = time.monotonic() - began
    assert is_whole(answer)
    body = split(answer)[1]
    # A comment of the gateway's own may say that somebody is at work.
    assert body.replace(b": ping\n", b"") == _expected("second")
    assert b"loser" not in answer
    assert _HEDGE_MS / 1000 <= took < 4
    eventually(lambda: asked[0].left_at is not None)
    assert len(asked) == 2


def test_the_first_may_win_after_all(two: Two) -> None:
    asked: list[Visit] = []

    def play(visit: Visit) -> None:
        asked.append(visit)
        if len(asked) > 1:
            visit.send(STREAM_HEAD)
            visit.chunks(event(role="of the loser"))
            visit.wait_left()
        else:
            time.sleep(_HEDGE_MS / 1000 * 2)
            _answer(visit, "first")

    two.play(play)
    answer = ask(two.gateway.port, request(headers=CLOSE))
    assert split(answer)[1] == _expected("first")
    eventually(lambda: len(asked) == 2 and asked[1].left_at is not None)


@pytest.mark.parametrize(
    ("early", "is_content"),
    [(event("Here"), True), (event(note={"content": "none yet"}), False)],
    ids=["content", "what only looks like it"],
)
def test_what_looks_like_content_is_passed_on_and_counts_if_it_is(
    two: Two, early: bytes, is_content: bool
) -> None:
    asked: list[Visit] = []
    pause_s = 3 * _HEDGE_MS / 1000

    def play(visit: Visit) -> None:
        asked.append(visit)
        visit.send(STREAM_HEAD)
        visit.chunks(event(), early)
        time.sleep(pause_s)
        visit.chunks(event("at last"), DONE)
        visit.send(LAST_CHUNK)

    two.play(play)
    took_s, count = (two.gateway.metric(_TTFT + part) for part in ("_sum", "_count"))
    answer = ask(two.gateway.port, request(headers=CLOSE))
    head, body = split(answer)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == event() + early + event("at last") + DONE
    assert len(asked) == 1  # Too late to ask another one: something of the first one was seen.
    assert two.gateway.metric(_TTFT + "_count") == count + 1
    assert (two.gateway.metric(_TTFT + "_sum") - took_s < pause_s) is is_content


def test_if_one_of_two_fails_the_other_one_goes_on(two: Two) -> None:
    asked: list[Visit] = []

    def play(visit: Visit) -> str | None:
        asked.append(visit)
        if len(asked) == 1:
            visit.send(STREAM_HEAD)
            visit.chunks(event(role="of the loser"))
            time.sleep(_HEDGE_MS / 1000 * 2)
            return "close"
        time.sleep(_HEDGE_MS / 1000 * 2)
        _answer(visit, "second")
        return None

    two.play(play)
    answer = ask(two.gateway.port, request(headers=CLOSE))
    assert is_whole(answer)
    assert split(answer)[1] == _expected("second")
    assert len(asked) == 2


@pytest.mark.parametrize("more", [{"store": True}, {"stream": False}])
def test_what_is_not_safe_or_no_stream_is_never_sent_twice(two: Two, more: dict[str, Any]) -> None:
    def play(visit: Visit) -> None:
        time.sleep(_HEDGE_MS / 1000 * 3)
        _answer(visit, "only")

    two.play(play)
    answer = ask(two.gateway.port, request(headers=CLOSE, **more))
    assert split(answer)[1] == _expected("only")
    assert len(two.first.visits) + len(two.second.visits) == 1


def test_an_early_head_does_not_end_the_race_where_only_a_hedge_may_follow(
    tmp_path: Path,
) -> None:
    with played() as first, played() as second, started(tmp_path) as run:
        upstreams = ("--upstream", first.url, "--upstream", second.url)
        hedging = ("--retries", "0", "--hedge", str(_HEDGE_MS))
        two = Two(first, second, run("gateway", *upstreams, *hedging))

        def stall(visit: Visit) -> None:
            visit.send(STREAM_HEAD)  # Before anybody had the time to think of a hedge.
            visit.wait_left()

        two.play(_overtaken([], stall))
        assert split(ask(two.gateway.port, request(headers=CLOSE)))[1] == _expected("second")


def test_what_fails_at_once_was_sent_all_the_same(tmp_path: Path) -> None:
    with played() as upstream, started(tmp_path) as run:
        upstream.default = lambda _: "close"
        gateway = run("gateway", "--upstream", upstream.url, "--retries", "0")
        for _ in range(3):
            assert ask(gateway.port, request(headers=CLOSE)).startswith(b"HTTP/1.1 502 ")
        name = "undam_gateway_upstream_requests_total"
        eventually(lambda: gateway.metric(name, why="first") == 3)
        assert gateway.metric("undam_gateway_upstream_in_flight") == 0
