"""The director: what the relay tells it becomes balance, ejection, hedges and numbers."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from undam.apis import CHAT, MESSAGES
from undam.gateway.config.config import make_config, upstream_named
from undam.gateway.interfaces import RequestInfo, Upstream, UpstreamResult
from undam.gateway.policy.admission_control import Pass
from undam.gateway.policy.router import GatewayDirector, Surroundings
from undam.gateway.telemetry.metrics import Metrics
from undam.gateway.telemetry.shared_memory import Board
from undam.http1.headers import RawHeaders


class _World:
    """A director, its clock, and what it said."""

    def __init__(self, board: Board, count: int = 2, **values: object) -> None:
        self.now = 100.0
        self.said: list[str] = []
        self.upstreams = [Upstream(f"up{number}:1", "h", 1) for number in range(count)]
        self.metrics = Metrics(board.region(0))
        self.config = make_config(
            values, [upstream_named(f"http://{u.name}") for u in self.upstreams]
        )
        around = Surroundings(self.metrics, lambda: self.now, random.Random(1), self.said.append)
        self.director = GatewayDirector(
            self.config, self.upstreams, pages=lambda _: None, around=around
        )

    def ask(self, headers: RawHeaders | None = None, **changes: object) -> SimpleNamespace:
        """A request that is let in and sent to its first upstream."""
        given = {
            "method": "POST", "target": "/v1/chat/completions", "headers": headers or [],
            "api": CHAT, "streams": True, "model": "m", "repeatable": True, "body_bytes": 2,
            "request_id": "r", "client": "c", **changes,
        }  # fmt: skip
        info = RequestInfo(**given)  # type: ignore[arg-type]
        ticket = self.director.admit(info)
        assert isinstance(ticket, Pass)
        after = self.director.hedge_after_s(info)
        upstream = self.director.choose(info, [])
        assert upstream is not None
        self.director.began(upstream, info)
        return SimpleNamespace(info=info, ticket=ticket, after=after, upstream=upstream)

    def answer(self, ttft_s: float = 0.1) -> None:
        one = self.ask()
        self.director.saw_first_content(one.upstream, one.info, ttft_s)
        self.end(one)

    def end(self, one: SimpleNamespace, result: UpstreamResult = UpstreamResult.OK) -> None:
        self.director.ended(one.upstream, one.info, result)
        one.ticket.release()

    @property
    def outstanding(self) -> list[int]:
        return [one.outstanding for one in self.director.balance.members]


@pytest.fixture
def board() -> Board:
    return Board.make(1)


def test_failures_eject_are_said_and_success_brings_back(board: Board) -> None:
    world = _World(board, eject_after=2)
    for result in (
        UpstreamResult.REFUSED,
        UpstreamResult.STATUS,
        UpstreamResult.TIMEOUT,
        UpstreamResult.DIED,
    ):
        one = world.ask()
        world.director.ended(one.upstream, one.info, result)
        other = world.director.choose(one.info, [one.upstream])
        assert other is not None
        assert other is not one.upstream
        one.ticket.release()
    assert [text.partition(" is set aside: ")[2] for text in world.said] == ["timeout", "died"]
    world.now += 2.0
    one = world.ask()
    world.director.saw_first_content(one.upstream, one.info, 0.1)
    assert world.said[-1] == f"upstream {one.upstream.name} is back"
    world.end(one)
    assert world.outstanding == [0, 0]
    assert world.director._going == {}


def test_a_client_that_leaves_is_nobodys_failure(board: Board) -> None:
    world = _World(board, eject_after=1)
    for _ in range(5):
        world.end(world.ask(), UpstreamResult.CANCELLED)
    one = world.ask()
    world.director.saw_first_content(one.upstream, one.info, 0.1)
    world.end(one, UpstreamResult.DIED)  # after content: nobody else is spared by an ejection
    assert world.said == []
    assert world.outstanding == [0, 0]


def test_a_hedge_goes_to_another_upstream_once_and_what_it_teaches_is_kept(board: Board) -> None:
    world = _World(board, hedge="auto")
    assert world.ask().after is None
    for _ in range(100):
        world.answer()
    one = world.ask()
    assert one.after == pytest.approx(0.2)
    world.now += 0.2
    director = world.director
    assert director.may_hedge(one.info)
    second = director.choose(one.info, [one.upstream])
    assert second is not None
    assert second is not one.upstream
    director.began(second, one.info)
    assert not director.may_hedge(one.info)
    usual = director.hedging._models.of("m")
    before = len(usual)
    director.ended(one.upstream, one.info, UpstreamResult.CANCELLED)
    assert len(usual) == before  # it is not known yet why
    director.saw_first_content(second, one.info, 0.1)
    assert len(usual) == before + 2
    director.ended(second, one.info, UpstreamResult.OK)
    one.ticket.release()
    assert list(director.hedging._won) == [True]


@pytest.mark.parametrize(
    ("headers", "changes", "hedged"),
    [
        ([], {}, True),
        ([], {"target": "/v1/messages?beta=true", "api": MESSAGES}, True),
        ([], {"target": "/v1/responses"}, False),
        ([(b"X-Undam-Hedge", b"allow")], {"target": "/v1/responses"}, True),
        ([(b"x-undam-hedge", b"Deny")], {}, False),
        ([(b"x-undam-hedge", b"perhaps")], {}, False),
    ],
)
def test_a_header_or_the_path_says_what_may_be_hedged(
    board: Board, headers: RawHeaders, changes: dict[str, object], hedged: bool
) -> None:
    world = _World(board, hedge=100.0)
    assert (world.ask(headers, **changes).after is not None) is hedged
    alone = _World(board, count=1, hedge=100.0)
    assert alone.ask(headers, **changes).after is None


def test_denials_are_told_with_their_reason(board: Board) -> None:
    world = _World(board, hedge=100.0)
    one = world.ask()
    assert not world.director.may_hedge(one.info)
    assert world.metrics.take_denial() == "budget"
    world.director.checked(
        next(u.name for u in world.upstreams if u is not one.upstream), well=False
    )
    assert not world.director.may_hedge(one.info)
    assert world.metrics.take_denial() == "no-other-upstream"
    assert "fails its health check" in world.said[0]


def test_the_upstreams_key_takes_the_place_of_the_clients(board: Board) -> None:
    world = _World(board)
    world.director.use_keys(None, "sk-of-the-upstream")
    headers = [(b"Authorization", b"Bearer mine"), (b"Accept", b"*/*")]
    one = world.ask([*headers])
    assert one.info.headers == [headers[1], (b"Authorization", b"Bearer sk-of-the-upstream")]
    one = world.ask([*headers], api=MESSAGES)
    assert one.info.headers == [headers[1], (b"X-Api-Key", b"sk-of-the-upstream")]
    world.director.use_keys(None, "")
    assert world.ask([*headers]).info.headers == headers


def test_a_reload_keeps_what_streams_hold_until_they_end(board: Board) -> None:
    world = _World(board)
    one = world.ask()
    stays = [up for up in world.upstreams if up is not one.upstream]
    config = make_config({}, [upstream_named(f"http://{up.name}") for up in stays])
    assert world.director.apply(config, stays) == (one.upstream.name,)
    for _ in range(3):
        assert world.ask().upstream is stays[0]
    assert len(world.outstanding) == 2
    world.end(one)
    assert world.outstanding == [3]
    assert set(world.director._upstreams) == {stays[0].name}


def test_nothing_is_left_of_requests_however_they_end(board: Board) -> None:
    world, rng = _World(board, count=3, hedge="auto"), random.Random(4)
    for _ in range(2000):
        world.now += rng.random() / 10
        one = world.ask()
        if rng.random() < 0.3 and world.director.may_hedge(one.info):
            second = world.director.choose(one.info, [one.upstream])
            assert second is not None
            world.director.began(second, one.info)
            if rng.random() < 0.5:
                world.director.ended(one.upstream, one.info, UpstreamResult.CANCELLED)
                one.upstream = second
            else:
                world.director.ended(second, one.info, UpstreamResult.CANCELLED)
        if rng.random() < 0.8:
            world.director.saw_first_content(one.upstream, one.info, 0.1)
        if rng.random() < 0.5:
            one.ticket.release()
        world.director.ended(one.upstream, one.info, rng.choice(list(UpstreamResult)))
        one.ticket.release()
    assert world.outstanding == [0, 0, 0]
    assert world.director._going == {}
    assert world.director.entrance.admission.under_way == 0
