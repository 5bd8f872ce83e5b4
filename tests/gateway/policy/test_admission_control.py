"""AdmissionControl: permits, the queue on an event loop, and API keys."""

from __future__ import annotations

import asyncio

from undam.apis import CHAT
from undam.gateway.config.limits import AdmissionLimits
from undam.gateway.interfaces import Refusal, RequestInfo
from undam.gateway.policy.admission_control import AdmissionControl, AdmissionPermit
from undam.gateway.policy.keys import parse_keys
from undam.http1.headers import RawHeaders

SECRET = "gw-0123456789abcdef"


def _request(headers: RawHeaders | None = None) -> RequestInfo:
    return RequestInfo(
        method="POST", target="/v1/chat/completions", headers=headers or [], api=CHAT,
        streams=True, model="m", repeatable=True, body_bytes=0, request_id="r", client="c",
    )  # fmt: skip


class _Harness:
    """AdmissionControl whose upstreams have ``free`` slots, with records of its callbacks."""

    def __init__(self, **limits: float) -> None:
        self.free = 1
        self.queue_lengths: list[int] = []
        self.finished: list[RequestInfo] = []
        self.admission = AdmissionControl(
            AdmissionLimits(**limits),  # type: ignore[arg-type]
            clock=asyncio.get_running_loop().time,
            has_capacity=lambda admitted: self.free > admitted,
            on_queue=self.queue_lengths.append,
            on_finish=self.finished.append,
        )


def test_queued_requests_are_admitted_refused_or_removed() -> None:
    async def main() -> None:
        harness = _Harness(queue=3, queue_timeout_s=0.05)
        enter, requests = harness.admission.enter, [_request() for _ in range(5)]
        first = enter(requests[0])
        assert isinstance(first, AdmissionPermit)
        pending = [enter(one) for one in requests[1:4]]
        full = enter(requests[4])
        assert isinstance(full, Refusal)
        assert (full.status, full.retry_after_s) == (503, 1.0)
        assert not any(isinstance(one, AdmissionPermit | Refusal) for one in pending)
        pending[0].cancel()  # type: ignore[union-attr] # the client disconnected
        await asyncio.sleep(0)
        first.release()
        second = await pending[1]  # type: ignore[misc]
        assert isinstance(second, AdmissionPermit)
        third = await pending[2]  # type: ignore[misc]
        assert isinstance(third, Refusal)
        assert third.status == 503
        harness.admission.forwarded(requests[2])
        harness.free = 0
        second.release()
        queue = harness.admission.queue
        assert (queue.in_flight, queue.waiting) == (0, 0)
        assert harness.queue_lengths[-1] == 0
        assert harness.finished == [requests[0], requests[2]]

    asyncio.run(main())


def test_one_free_slot_admits_one_request_and_stopping_refuses_the_rest() -> None:
    async def main() -> None:
        harness = _Harness(queue=3)
        harness.free = 0
        pending = [harness.admission.enter(_request()) for _ in range(3)]
        harness.free = 1
        harness.admission.admit_queued()
        harness.admission.admit_queued()
        assert [one.done() for one in pending] == [True, False, False]  # type: ignore[union-attr]
        harness.admission.stop()
        assert [one.done() for one in pending] == [True] * 3  # type: ignore[union-attr]
        assert isinstance(harness.admission.enter(_request()), Refusal)

    asyncio.run(main())


def test_preflight_requests_need_no_key() -> None:
    async def main() -> None:
        harness = _Harness()
        harness.free = 10
        harness.admission.keys = parse_keys(f"alice {SECRET}", "keys.txt")
        headers = [(b"Origin", b"https://a.test"), (b"Access-Control-Request-Method", b"POST")]
        preflight = _request(headers)
        assert isinstance(harness.admission.enter(preflight), Refusal)
        preflight.method = "OPTIONS"
        assert isinstance(harness.admission.enter(preflight), AdmissionPermit)
        for incomplete in ([], headers[:1], headers[1:]):
            other = _request(incomplete)
            other.method = "OPTIONS"
            assert isinstance(harness.admission.enter(other), Refusal)

    asyncio.run(main())


def test_a_key_admits_is_recorded_and_is_removed_from_the_headers() -> None:
    async def main() -> None:
        harness = _Harness()
        harness.free = 10
        harness.admission.keys = parse_keys(f"alice {SECRET} streams=1", "keys.txt")
        request = _request([(b"X-Api-Key", SECRET.encode()), (b"Accept", b"*/*")])
        permit = harness.admission.enter(request)
        assert isinstance(permit, AdmissionPermit)
        assert (request.key_name, request.headers) == ("alice", [(b"Accept", b"*/*")])
        second = harness.admission.enter(
            _request([(b"Authorization", b"Bearer " + SECRET.encode())])
        )
        assert isinstance(second, Refusal)
        assert (second.status, second.kind) == (429, "rate_limit_error")
        permit.release()
        unknown = harness.admission.enter(_request([(b"Authorization", b"Bearer unknown")]))
        assert isinstance(unknown, Refusal)
        assert (unknown.status, unknown.headers) == (401, ((b"WWW-Authenticate", b"Bearer"),))
        harness.free = 0
        refused = harness.admission.enter(_request([(b"api-key", SECRET.encode())]))
        assert isinstance(refused, Refusal)
        harness.free = 1
        admitted = harness.admission.enter(_request([(b"api-key", SECRET.encode())]))
        assert isinstance(admitted, AdmissionPermit)

    asyncio.run(main())
