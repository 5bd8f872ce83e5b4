"""The way in: places, the queue, keys and what each may use."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from undam.apis import CHAT
from undam.errors import ConfigSyntaxError
from undam.gateway.interfaces import Refusal, RequestInfo
from undam.gateway.policy import admission_control as admission
from undam.gateway.policy.admission_control import AdmissionControl, AdmissionPermit
from undam.gateway.policy.admission_queue import AdmissionLimits, AdmissionQueue
from undam.gateway.policy.keys import KeyUsage, find_key, parse_keys, token_of
from undam.http1.headers import RawHeaders

LONG = "gw-0123456789abcdef"
FILE = f"""
# who may come in
alice  {LONG}      streams=1     # a comment
bob    sha256:{hashlib.sha256(b"bobs own secret key").hexdigest()} rate=2/s
"""


def _request(headers: RawHeaders | None = None) -> RequestInfo:
    return RequestInfo(
        method="POST", target="/v1/chat/completions", headers=headers or [], api=CHAT,
        streams=True, model="m", repeatable=True, body_bytes=2, request_id="r", client="c",
    )  # fmt: skip


def test_first_come_first_served_and_nobody_overtakes() -> None:
    admission = AdmissionQueue(AdmissionLimits(max_streams=2, queue=2))
    assert [admission.enter() for _ in range(2)] == ["in", "in"]
    first, second = admission.enter(), admission.enter()
    assert admission.enter() == "queue-full"
    assert (admission.waiting, admission.crowded) == (2, True)
    assert admission.next_in() is None
    admission.leave()
    assert admission.next_in(room=False) is None
    assert admission.next_in() is first
    admission.leave()
    assert not isinstance(second, str)
    admission.give_up(second)
    admission.give_up(second)
    assert admission.next_in() is None
    assert admission.enter() == "in"


def test_without_bounds_everybody_comes_in_and_nothing_is_crowded() -> None:
    admission = AdmissionQueue(AdmissionLimits())
    assert {admission.enter() for _ in range(1000)} == {"in"}
    assert not admission.crowded
    assert admission.enter(room=False) == "queue-full"
    nearly = AdmissionQueue(AdmissionLimits(max_streams=20))
    for _ in range(17):
        nearly.enter()
    assert not nearly.crowded
    nearly.enter()
    assert nearly.crowded


def test_keys_are_read_compared_and_never_kept_as_text() -> None:
    keys = parse_keys(FILE, "keys.txt")
    assert [(key.name, key.streams, key.per_second) for key in keys] == [
        ("alice", 1, 0.0),
        ("bob", 0, 2.0),
    ]
    assert LONG not in repr(keys)
    for token, name in ((LONG, "alice"), ("bobs own secret key", "bob")):
        found = find_key(keys, token)
        assert found is not None
        assert found.name == name
    for wrong in ("", "gw-", LONG + "x", "\udcff", hashlib.sha256(LONG.encode()).hexdigest()):
        assert find_key(keys, wrong) is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "no key in it"),
        ("\nalice", 2, "a line is NAME KEY"),
        ("a!ice secretsecretsecret", 1, "is no name"),
        ("alice hunter2", 1, "less than 16 characters"),
        (f"alice {LONG}\nbob {LONG}", 2, "the same key"),
        (f"alice {LONG}\nalice {LONG}x", 2, "'alice' stands there twice"),
        (f"alice {LONG} rate=2", 1, "streams=N or rate"),
        (f"alice {LONG} streams=0", 1, "streams=N or rate"),
        (f"alice {LONG} rate=0/s", 1, "streams=N or rate"),
        (f"alice {LONG} hunter2hunter2", 1, "streams=N or rate"),
    ],
)
def test_a_bad_key_file_is_told_with_its_line_and_without_its_text(
    text: str, line: int, words: str
) -> None:
    with pytest.raises(ConfigSyntaxError) as caught:
        parse_keys(text, "keys.txt")
    assert (caught.value.path, caught.value.line) == ("keys.txt", line)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert LONG not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([], ""),
        ([(b"Authorization", b"bearer  one ")], "one"),
        ([(b"Authorization", b"Basic dTpw"), (b"X-API-Key", b" two")], "two"),
        ([(b"api-key", b"three")], "three"),
        ([(b"x-api-key", b"two"), (b"authorization", b"Bearer one")], "one"),
    ],
)
def test_a_key_is_found_wherever_clients_put_it(headers: RawHeaders, token: str) -> None:
    assert token_of(headers) == token


def test_a_key_is_held_to_its_limits() -> None:
    alice, bob = parse_keys(FILE, "keys.txt")
    usage = KeyUsage()
    assert usage.take(alice, 0.0) is None
    assert usage.take(alice, 0.0) == 1.0
    usage.give_back("alice")
    usage.give_back("nobody")
    assert usage.take(alice, 0.0) is None
    assert [usage.take(bob, 0.0) for _ in range(6)] == [None] * 5 + [0.5]
    assert usage.take(bob, 0.5) is None


class _World:
    def __init__(self, **terms: float) -> None:
        self.free = 1
        self.queue: list[int] = []
        self.left: list[RequestInfo] = []
        self.admission = AdmissionControl(
            AdmissionLimits(**terms),  # type: ignore[arg-type]
            clock=asyncio.get_running_loop().time,
            room=lambda coming: self.free > coming,
            on_queue=self.queue.append,
            on_left=self.left.append,
        )


def test_the_queue_lets_in_refuses_and_forgets() -> None:
    async def main() -> None:
        world = _World(queue=3, queue_timeout_s=0.05)
        enter, requests = world.admission.enter, [_request() for _ in range(5)]
        first = enter(requests[0])
        assert isinstance(first, AdmissionPermit)
        waiting = [enter(one) for one in requests[1:4]]
        full = enter(requests[4])
        assert isinstance(full, Refusal)
        assert (full.status, full.retry_after_s) == (503, 1.0)
        assert not any(isinstance(one, AdmissionPermit | Refusal) for one in waiting)
        waiting[0].cancel()  # type: ignore[union-attr] # its client left
        await asyncio.sleep(0)
        first.release()
        second = await waiting[1]  # type: ignore[misc]
        assert isinstance(second, AdmissionPermit)
        third = await waiting[2]  # type: ignore[misc]
        assert isinstance(third, Refusal)
        assert third.status == 503
        world.admission.sent(requests[2])
        world.free = 0
        second.release()
        assert (world.admission.queue.under_way, world.admission.queue.waiting) == (0, 0)
        assert world.queue[-1] == 0
        assert world.left == [requests[0], requests[2]]

    asyncio.run(main())


def test_two_are_not_let_in_for_one_free_place() -> None:
    async def main() -> None:
        world = _World(queue=3)
        world.free = 0
        waiting = [world.admission.enter(_request()) for _ in range(3)]
        world.free = 1
        world.admission.let_in()
        world.admission.let_in()
        assert [one.done() for one in waiting] == [True, False, False]  # type: ignore[union-attr]
        world.admission.stop()
        assert [one.done() for one in waiting] == [True] * 3  # type: ignore[union-attr]
        assert isinstance(world.admission.enter(_request()), Refusal)

    asyncio.run(main())


def test_a_place_that_nobody_takes_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_LOST_S", 0.01)

    async def main() -> None:
        world = _World(queue=3)
        world.free = 0
        waiting = [world.admission.enter(_request()) for _ in range(2)]
        world.free = 1
        world.admission.let_in()
        assert waiting[0].done()  # type: ignore[union-attr]
        # Its client left in this very turn; the next one in the queue gets the place.
        lease = await waiting[1]  # type: ignore[misc]
        assert isinstance(lease, AdmissionPermit)
        lease.release()
        lease.release()
        assert world.admission.queue.under_way == 0

    asyncio.run(main())


def test_a_key_lets_in_is_named_and_goes_no_further() -> None:
    async def main() -> None:
        world = _World()
        world.free = 10
        world.admission.keys = parse_keys(FILE, "keys.txt")
        request = _request([(b"X-Api-Key", LONG.encode()), (b"Accept", b"*/*")])
        permit = world.admission.enter(request)
        assert isinstance(permit, AdmissionPermit)
        assert (request.key_name, request.headers) == ("alice", [(b"Accept", b"*/*")])
        again = world.admission.enter(_request([(b"Authorization", b"Bearer " + LONG.encode())]))
        assert isinstance(again, Refusal)
        assert (again.status, again.kind) == (429, "rate_limit_error")
        permit.release()
        stranger = world.admission.enter(_request([(b"Authorization", b"Bearer nobody")]))
        assert isinstance(stranger, Refusal)
        assert (stranger.status, stranger.headers) == (401, ((b"WWW-Authenticate", b"Bearer"),))
        world.free = 0
        refused = world.admission.enter(_request([(b"api-key", LONG.encode())]))
        assert isinstance(refused, Refusal)
        world.free = 1
        assert isinstance(
            world.admission.enter(_request([(b"api-key", LONG.encode())])), AdmissionPermit
        )

    asyncio.run(main())
