"""AdmissionQueue: order, limits, and when a gateway counts as crowded."""

from __future__ import annotations

from undam.gateway.config.limits import AdmissionLimits
from undam.gateway.policy.admission_queue import AdmissionQueue


def test_requests_are_admitted_in_order_of_arrival() -> None:
    queue = AdmissionQueue(AdmissionLimits(max_streams=2, queue=2))
    assert [queue.enter() for _ in range(2)] == ["admitted", "admitted"]
    first, second = queue.enter(), queue.enter()
    assert queue.enter() == "queue-full"
    assert (queue.waiting, queue.crowded) == (2, True)
    assert queue.admit_next() is None
    queue.leave()
    assert queue.admit_next(capacity=False) is None
    assert queue.admit_next() is first
    queue.leave()
    assert not isinstance(second, str)
    queue.remove(second)
    queue.remove(second)
    assert queue.admit_next() is None
    assert queue.enter() == "admitted"


def test_without_limits_every_request_is_admitted() -> None:
    queue = AdmissionQueue(AdmissionLimits())
    assert {queue.enter() for _ in range(1000)} == {"admitted"}
    assert not queue.crowded
    assert queue.enter(capacity=False) == "queue-full"


def test_a_gateway_is_crowded_when_nearly_all_slots_are_taken() -> None:
    queue = AdmissionQueue(AdmissionLimits(max_streams=20))
    for _ in range(17):
        queue.enter()
    assert not queue.crowded
    queue.enter()
    assert queue.crowded
