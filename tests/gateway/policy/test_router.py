"""GatewayRouter: load balancing, ejection, hedging and metrics, driven by the relay's calls."""

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


class _Harness:
    """GatewayRouter with a settable clock and recorded log lines."""

    def __init__(self, shared_metrics: SharedMetrics, count: int = 2, **values: object) -> None:
        self.now = 100.0
        self.log: list[str] = []
        self.upstreams = [Upstream(f"up{number}:1", "h", 1) for number in range(count)]
        self.metrics = WorkerMetrics(shared_metrics.region(0))
        self.config = make_config(
            values, [upstream_from_url(f"http://{u.name}") for u in self.upstreams]
        )
        dependencies = Dependencies(
            self.metrics, lambda: self.now, random.Random(1), self.log.append
        )
        self.router = GatewayRouter(
            self.config, self.upstreams, local_responses=lambda _: None, dependencies=dependencies
        )

    def send(self, headers: RawHeaders | None = None, **changes: object) -> SimpleNamespace:
        """Admit a request and send it to the first chosen upstream."""
        given = {
            "method": "POST", "target": "/v1/chat/completions", "headers": headers or [],
            "api": CHAT, "streams": True, "model": "m", "repeatable": True, "body_bytes": 2,
            "request_id": "r", "client": "c", **changes,
        }  # fmt: skip
        info = RequestInfo(**given)  # type: ignore[arg-type]
        permit = self.router.admit(info)
        assert isinstance(permit, AdmissionPermit)
        hedge_after_s = self.router.hedge_after_s(info)
        upstream = self.router.choose(info, [])
        assert upstream is not None
        self.router.attempt_started(upstream, info)
        return SimpleNamespace(
            info=info, permit=permit, hedge_after_s=hedge_after_s, upstream=upstream
        )

    def complete(self, ttft_s: float = 0.1) -> None:
        """Send a request that succeeds."""
        one = self.send()
        self.router.first_content_received(one.upstream, one.info, ttft_s)
        self.end(one)

    def end(self, one: SimpleNamespace, result: UpstreamResult = UpstreamResult.OK) -> None:
        self.router.attempt_ended(one.upstream, one.info, result)
        one.permit.release()

    @property
    def outstanding(self) -> list[int]:
        return [one.outstanding for one in self.router.balancer.backends]


@pytest.fixture
def shared_metrics() -> SharedMetrics:
    return SharedMetrics.make(1)


def test_ejection_and_recovery_are_logged(shared_metrics: SharedMetrics) -> None:
    harness = _Harness(shared_metrics, eject_after=2)
    for result in (
        UpstreamResult.REFUSED,
        UpstreamResult.STATUS,
        UpstreamResult.TIMEOUT,
        UpstreamResult.DIED,
    ):
        one = harness.send()
        harness.router.attempt_ended(one.upstream, one.info, result)
        other = harness.router.choose(one.info, [one.upstream])
        assert other is not None
        assert other is not one.upstream
        one.permit.release()
    assert [text.partition(" is ejected: ")[2] for text in harness.log] == ["timeout", "died"]
    harness.now += 2.0
    one = harness.send()
    harness.router.first_content_received(one.upstream, one.info, 0.1)
    assert harness.log[-1] == f"upstream {one.upstream.name} is available again"
    harness.end(one)
    assert harness.outstanding == [0, 0]
    assert harness.router._in_flight == {}


def test_client_disconnects_and_failures_after_content_do_not_eject(
    shared_metrics: SharedMetrics,
) -> None:
    harness = _Harness(shared_metrics, eject_after=1)
    for _ in range(5):
        harness.end(harness.send(), UpstreamResult.CANCELLED)
    one = harness.send()
    harness.router.first_content_received(one.upstream, one.info, 0.1)
    harness.end(one, UpstreamResult.DIED)
    assert harness.log == []
    assert harness.outstanding == [0, 0]


def test_a_request_is_hedged_once_and_both_ttfts_are_recorded(
    shared_metrics: SharedMetrics,
) -> None:
    harness = _Harness(shared_metrics, hedge="auto")
    assert harness.send().hedge_after_s is None
    for _ in range(100):
        harness.complete()
    one = harness.send()
    assert one.hedge_after_s == pytest.approx(0.2)
    harness.now += 0.2
    router = harness.router
    assert router.may_hedge(one.info)
    second = router.choose(one.info, [one.upstream])
    assert second is not None
    assert second is not one.upstream
    router.attempt_started(second, one.info)
    assert not router.may_hedge(one.info)
    baseline = router.hedging._baselines.of("m")
    before = len(baseline)
    router.attempt_ended(one.upstream, one.info, UpstreamResult.CANCELLED)
    assert len(baseline) == before  # The TTFT is recorded only once the other attempt has content.
    router.first_content_received(second, one.info, 0.1)
    assert len(baseline) == before + 2
    router.attempt_ended(second, one.info, UpstreamResult.OK)
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
def test_the_hedge_header_or_the_path_decides_whether_a_request_is_hedged(
    shared_metrics: SharedMetrics, headers: RawHeaders, changes: dict[str, object], hedged: bool
) -> None:
    harness = _Harness(shared_metrics, hedge=100.0)
    assert (harness.send(headers, **changes).hedge_after_s is not None) is hedged
    alone = _Harness(shared_metrics, count=1, hedge=100.0)
    assert alone.send(headers, **changes).hedge_after_s is None


def test_denied_hedges_have_a_reason(shared_metrics: SharedMetrics) -> None:
    harness = _Harness(shared_metrics, hedge=100.0)
    one = harness.send()
    assert not harness.router.may_hedge(one.info)
    assert harness.metrics.take_denial_reason() == "budget"
    harness.router.set_healthy(
        next(u.name for u in harness.upstreams if u is not one.upstream), False
    )
    assert not harness.router.may_hedge(one.info)
    assert harness.metrics.take_denial_reason() == "no-other-upstream"
    assert "fails its health check" in harness.log[0]


def test_the_client_key_is_replaced_by_the_upstream_key(shared_metrics: SharedMetrics) -> None:
    harness = _Harness(shared_metrics)
    harness.router.use_keys(None, "sk-of-the-upstream")
    headers = [(b"Authorization", b"Bearer mine"), (b"Accept", b"*/*")]
    one = harness.send([*headers])
    assert one.info.headers == [headers[1], (b"Authorization", b"Bearer sk-of-the-upstream")]
    one = harness.send([*headers], api=MESSAGES)
    assert one.info.headers == [headers[1], (b"X-Api-Key", b"sk-of-the-upstream")]
    harness.router.use_keys(None, "")
    assert harness.send([*headers]).info.headers == headers


def test_a_removed_upstream_is_dropped_when_its_last_stream_ends(
    shared_metrics: SharedMetrics,
) -> None:
    harness = _Harness(shared_metrics)
    one = harness.send()
    remaining = [up for up in harness.upstreams if up is not one.upstream]
    config = make_config({}, [upstream_from_url(f"http://{up.name}") for up in remaining])
    assert harness.router.apply(config, remaining) == (one.upstream.name,)
    for _ in range(3):
        assert harness.send().upstream is remaining[0]
    assert len(harness.outstanding) == 2
    harness.end(one)
    assert harness.outstanding == [3]
    assert set(harness.router._upstreams) == {remaining[0].name}


def test_no_state_remains_however_requests_end(shared_metrics: SharedMetrics) -> None:
    harness, rng = _Harness(shared_metrics, count=3, hedge="auto"), random.Random(4)
    for _ in range(2000):
        harness.now += rng.random() / 10
        one = harness.send()
        if rng.random() < 0.3 and harness.router.may_hedge(one.info):
            second = harness.router.choose(one.info, [one.upstream])
            assert second is not None
            harness.router.attempt_started(second, one.info)
            if rng.random() < 0.5:
                harness.router.attempt_ended(one.upstream, one.info, UpstreamResult.CANCELLED)
                one.upstream = second
            else:
                harness.router.attempt_ended(second, one.info, UpstreamResult.CANCELLED)
        if rng.random() < 0.8:
            harness.router.first_content_received(one.upstream, one.info, 0.1)
        if rng.random() < 0.5:
            one.permit.release()
        harness.router.attempt_ended(one.upstream, one.info, rng.choice(list(UpstreamResult)))
        one.permit.release()
    assert harness.outstanding == [0, 0, 0]
    assert harness.router._in_flight == {}
    assert harness.router.admission.queue.in_flight == 0
