"""The router: what the relay tells it becomes balance, ejection, hedges and numbers."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from undam.apis import CHAT, MESSAGES
from undam.gateway.config.config import make_config, upstream_from_url
from undam.gateway.interfaces import RequestInfo, Upstream, UpstreamResult
from undam.gateway.policy.admission_control import AdmissionPermit
from undam.gateway.policy.router import Dependencies, GatewayRouter
from undam.gateway.telemetry.metrics import WorkerMetrics
from undam.gateway.telemetry.shared_memory import SharedMetrics
from undam.http1.headers import RawHeaders


class _World:
    """A router, its clock, and what it said."""

    def __init__(self, shared_metrics: SharedMetrics, count: int = 2, **values: object) -> None:
        self.now = 100.0
        self.said: list[str] = []
        self.upstreams = [Upstream(f"up{number}:1", "h", 1) for number in range(count)]
        self.metrics = WorkerMetrics(shared_metrics.region(0))
        self.config = make_config(
            values, [upstream_from_url(f"http://{u.name}") for u in self.upstreams]
        )
        dependencies = Dependencies(
            self.metrics, lambda: self.now, random.Random(1), self.said.append
        )
        self.router = GatewayRouter(
            self.config, self.upstreams, pages=lambda _: None, dependencies=dependencies
        )

    def ask(self, headers: RawHeaders | None = None, **changes: object) -> SimpleNamespace:
        """A request that is let in and sent to its first upstream."""
        given = {
            "method": "POST", "target": "/v1/chat/completions", "headers": headers or [],
            "api": CHAT, "streams": True, "model": "m", "repeatable": True, "body_bytes": 2,
            "request_id": "r", "client": "c", **changes,
        }  # fmt: skip
        info = RequestInfo(**given)  # type: ignore[arg-type]
        permit = self.router.admit(info)
        assert isinstance(permit, AdmissionPermit)
        after = self.router.hedge_after_s(info)
        upstream = self.router.choose(info, [])
        assert upstream is not None
        self.router.began(upstream, info)
        return SimpleNamespace(info=info, permit=permit, after=after, upstream=upstream)

    def answer(self, ttft_s: float = 0.1) -> None:
        one = self.ask()
        self.router.saw_first_content(one.upstream, one.info, ttft_s)
        self.end(one)

    def end(self, one: SimpleNamespace, result: UpstreamResult = UpstreamResult.OK) -> None:
        self.router.ended(one.upstream, one.info, result)
        one.permit.release()

    @property
    def outstanding(self) -> list[int]:
        return [one.outstanding for one in self.router.balancer.backends]


@pytest.fixture
def shared_metrics() -> SharedMetrics:
    return SharedMetrics.make(1)


def test_failures_eject_are_said_and_success_brings_back(shared_metrics: SharedMetrics) -> None:
    world = _World(shared_metrics, eject_after=2)
    for result in (
        UpstreamResult.REFUSED,
        UpstreamResult.STATUS,
        UpstreamResult.TIMEOUT,
        UpstreamResult.DIED,
    ):
        one = world.ask()
        world.router.ended(one.upstream, one.info, result)
        other = world.router.choose(one.info, [one.upstream])
        assert other is not None
        assert other is not one.upstream
        one.permit.release()
    assert [text.partition(" is set aside: ")[2] for text in world.said] == ["timeout", "died"]
    world.now += 2.0
    one = world.ask()
    world.router.saw_first_content(one.upstream, one.info, 0.1)
    assert world.said[-1] == f"upstream {one.upstream.name} is back"
    world.end(one)
    assert world.outstanding == [0, 0]
    assert world.router._in_flight == {}


def test_a_client_that_leaves_is_nobodys_failure(shared_metrics: SharedMetrics) -> None:
    world = _World(shared_metrics, eject_after=1)
    for _ in range(5):
        world.end(world.ask(), UpstreamResult.CANCELLED)
    one = world.ask()
    world.router.saw_first_content(one.upstream, one.info, 0.1)
    world.end(one, UpstreamResult.DIED)  # after content: nobody else is spared by an ejection
    assert world.said == []
    assert world.outstanding == [0, 0]


def test_a_hedge_goes_to_another_upstream_once_and_what_it_teaches_is_kept(
    shared_metrics: SharedMetrics,
) -> None:
    world = _World(shared_metrics, hedge="auto")
    assert world.ask().after is None
    for _ in range(100):
        world.answer()
    one = world.ask()
    assert one.after == pytest.approx(0.2)
    world.now += 0.2
    router = world.router
    assert router.may_hedge(one.info)
    second = router.choose(one.info, [one.upstream])
    assert second is not None
    assert second is not one.upstream
    router.began(second, one.info)
    assert not router.may_hedge(one.info)
    usual = router.hedging._models.of("m")
    before = len(usual)
    router.ended(one.upstream, one.info, UpstreamResult.CANCELLED)
    assert len(usual) == before  # it is not known yet why
    router.saw_first_content(second, one.info, 0.1)
    assert len(usual) == before + 2
    router.ended(second, one.info, UpstreamResult.OK)
    one.permit.release()
    assert list(router.hedging._won) == [True]


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
    shared_metrics: SharedMetrics, headers: RawHeaders, changes: dict[str, object], hedged: bool
) -> None:
    world = _World(shared_metrics, hedge=100.0)
    assert (world.ask(headers, **changes).after is not None) is hedged
    alone = _World(shared_metrics, count=1, hedge=100.0)
    assert alone.ask(headers, **changes).after is None


def test_denials_are_told_with_their_reason(shared_metrics: SharedMetrics) -> None:
    world = _World(shared_metrics, hedge=100.0)
    one = world.ask()
    assert not world.router.may_hedge(one.info)
    assert world.metrics.take_denial() == "budget"
    world.router.checked(next(u.name for u in world.upstreams if u is not one.upstream), well=False)
    assert not world.router.may_hedge(one.info)
    assert world.metrics.take_denial() == "no-other-upstream"
    assert "fails its health check" in world.said[0]


def test_the_upstreams_key_takes_the_place_of_the_clients(shared_metrics: SharedMetrics) -> None:
    world = _World(shared_metrics)
    world.router.use_keys(None, "sk-of-the-upstream")
    headers = [(b"Authorization", b"Bearer mine"), (b"Accept", b"*/*")]
    one = world.ask([*headers])
    assert one.info.headers == [headers[1], (b"Authorization", b"Bearer sk-of-the-upstream")]
    one = world.ask([*headers], api=MESSAGES)
    assert one.info.headers == [headers[1], (b"X-Api-Key", b"sk-of-the-upstream")]
    world.router.use_keys(None, "")
    assert world.ask([*headers]).info.headers == headers


def test_a_reload_keeps_what_streams_hold_until_they_end(shared_metrics: SharedMetrics) -> None:
    world = _World(shared_metrics)
    one = world.ask()
    stays = [up for up in world.upstreams if up is not one.upstream]
    config = make_config({}, [upstream_from_url(f"http://{up.name}") for up in stays])
    assert world.router.apply(config, stays) == (one.upstream.name,)
    for _ in range(3):
        assert world.ask().upstream is stays[0]
    assert len(world.outstanding) == 2
    world.end(one)
    assert world.outstanding == [3]
    assert set(world.router._upstreams) == {stays[0].name}


def test_nothing_is_left_of_requests_however_they_end(shared_metrics: SharedMetrics) -> None:
    world, rng = _World(shared_metrics, count=3, hedge="auto"), random.Random(4)
    for _ in range(2000):
        world.now += rng.random() / 10
        one = world.ask()
        if rng.random() < 0.3 and world.router.may_hedge(one.info):
            second = world.router.choose(one.info, [one.upstream])
            assert second is not None
            world.router.began(second, one.info)
            if rng.random() < 0.5:
                world.router.ended(one.upstream, one.info, UpstreamResult.CANCELLED)
                one.upstream = second
            else:
                world.router.ended(second, one.info, UpstreamResult.CANCELLED)
        if rng.random() < 0.8:
            world.router.saw_first_content(one.upstream, one.info, 0.1)
        if rng.random() < 0.5:
            one.permit.release()
        world.router.ended(one.upstream, one.info, rng.choice(list(UpstreamResult)))
        one.permit.release()
    assert world.outstanding == [0, 0, 0]
    assert world.router._in_flight == {}
    assert world.router.admission.queue.under_way == 0
