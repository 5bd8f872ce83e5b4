"""The mounted beacon: authorization, responses, and rejected requests."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import Any

import pytest

from support.asgi_calls import Call
from support.asgi_replay import run_on
from undam.asgi import Beacon
from undam.errors import UsageError
from undam.host import host_name
from undam.sse import Event, Parser
from undam.timing import BeaconQuery, BeaconSchedule, due_of
from undam.timing.beacon import HEADER, format_query, parse_head

pytestmark = pytest.mark.slow  # Uses sockets, and waits for events that must not occur.

TOKEN = "correct horse battery staple"
BEARER = (b"authorization", f"Bearer {TOKEN}".encode())
QUICK = BeaconSchedule(ttft_ms=0, gap_ms=0, before=5, silence_ms=0, after=0, heartbeat_ms=0)


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _call(query: str | bytes | None = None, *, method: str = "GET", **scope: Any) -> Call:
    headers = [BEARER]
    if query is not None:
        raw = query.encode() if isinstance(query, str) else query
        headers.append((HEADER.lower().encode(), raw))
    return Call(method, headers=headers, **scope)


def _asking(schedule: BeaconSchedule, ident: str = "") -> Call:
    return _call(format_query(BeaconQuery("schedule", ident, schedule)))


def _beacon(**options: Any) -> Beacon:
    return Beacon(token=TOKEN, **options)


def _data(call: Call) -> list[str]:
    return [one.data for one in Parser().receive_data(call.body) if isinstance(one, Event)]


def _serve(loop: str, call: Call, **options: Any) -> Call:
    return run_on(loop, call.serve(_beacon(**options)))


def _json(call: Call) -> Any:
    assert call.status == 200
    assert call.headers["content-type"] == "application/json"
    assert call.headers["cache-control"] == "no-store"
    return json.loads(call.body)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Bearer wrong")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", f"Basic {TOKEN}".encode())],
        [(b"authorization", TOKEN.encode())],
        [(b"authorization", f"Bearer {TOKEN}x".encode())],
        [(b"authorization", f"Bearer {TOKEN[:-1]}".encode())],
        [(b"undam-token", b"")],
        [(b"undam-token", TOKEN.upper().encode())],
        [(b"undam-token", b"\xff\0" * 5000)],
        [(b"cookie", f"undam-token={TOKEN}".encode())],
    ],
    ids=repr,
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "\0"])
def test_a_request_without_the_token_gets_an_empty_401(
    loop: str, headers: list[tuple[bytes, bytes]], method: str
) -> None:
    for query in (None, b"clock", b"closed; id=a", b"nonsense"):
        asked = [] if query is None else [(b"undam-beacon", query)]
        call = _serve(loop, Call(method, headers=[*headers, *asked]))
        assert (call.status, call.body) == (401, b"")
        assert set(call.headers) == {"www-authenticate", "content-length", "cache-control"}


@pytest.mark.parametrize(
    "header",
    [
        BEARER,
        (b"authorization", f"bearer {TOKEN}".encode()),
        (b"authorization", f"Bearer  {TOKEN} ".encode()),
        (b"undam-token", TOKEN.encode()),
        (b"Undam-Token", TOKEN.encode()),
    ],
    ids=repr,
)
def test_the_token_is_accepted_in_either_header(loop: str, header: tuple[bytes, bytes]) -> None:
    assert _serve(loop, Call(headers=[header, (b"undam-beacon", b"clock")])).status == 200


def test_a_wrong_token_beside_the_right_one_is_ignored(loop: str) -> None:
    headers = [(b"authorization", b"Bearer of-the-gateway"), (b"undam-token", TOKEN.encode())]
    call = _serve(loop, Call(headers=[*headers, (b"undam-beacon", b"clock")]))
    assert call.status == 200


def test_the_clock(loop: str) -> None:
    before = time.time_ns()
    reply = _json(_serve(loop, _call("clock")))
    assert before <= reply["arrived_ns"] <= reply["left_ns"] <= time.time_ns()
    assert reply["host"] == host_name()
    assert set(reply) == {"arrived_ns", "left_ns", "host", "numbered"}


def test_each_event_has_its_due_time(loop: str) -> None:
    before = time.time_ns()
    schedule = BeaconSchedule(ttft_ms=30, gap_ms=10, before=3, silence_ms=50, after=2)
    call = _serve(loop, _asking(schedule))
    assert call.status == 200
    assert call.complete
    assert call.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert call.headers["x-accel-buffering"] == "no"
    head = parse_head(call.headers[HEADER.lower()])
    assert head is not None
    assert before <= head.arrived_ns <= time.time_ns()
    assert head.host == host_name()
    *events, done = _data(call)
    assert done == "[DONE]"
    stamps = [due_of(json.loads(event)) for event in events]
    assert [stamp.seq for stamp in stamps if stamp] == [0, 1, 2, 3, 4]
    offsets = [(stamp.due_ns - head.arrived_ns) / 1e6 for stamp in stamps if stamp]
    assert offsets == [30, 40, 50, 100, 110]


def test_no_event_is_early_and_a_late_one_delays_no_other(loop: str) -> None:
    left: dict[int, int] = {}

    class Slow(Call):
        async def send(self, message: dict[str, Any]) -> None:
            for data in _events(message.get("body", b"")):
                left[json.loads(data)["undam"]["seq"]] = time.time_ns()
            if b'"seq":2,' in message.get("body", b""):
                await asyncio.sleep(0.2)
            await super().send(message)

    schedule = BeaconSchedule(ttft_ms=0, gap_ms=20, before=15, silence_ms=0, after=0)
    query = format_query(BeaconQuery("schedule", schedule=schedule))
    slow = Slow(headers=[BEARER, (b"undam-beacon", query.encode())])
    call = _serve(loop, slow)
    due = [json.loads(data)["undam"]["due_ns"] for data in _data(call)[:-1]]
    assert [b - a for a, b in itertools.pairwise(due)] == [20_000_000] * 14
    # Allow 1 ms, because the wall clock may be adjusted during the test.
    assert all(left[seq] >= due_ns - 1_000_000 for seq, due_ns in enumerate(due))
    held, last = left[3] - due[3], left[14] - due[14]
    assert held > 150_000_000
    assert last < held / 2


def _events(body: bytes) -> list[str]:
    return [
        one.data
        for one in Parser().receive_data(body)
        if isinstance(one, Event) and one.data.startswith("{")
    ]


def test_a_request_without_a_schedule_gets_the_default(loop: str) -> None:
    async def main() -> None:
        call = _call()
        task = call.start(_beacon())
        await call.until(lambda: _events(call.body))
        head = parse_head(call.headers[HEADER.lower()])
        first = json.loads(_events(call.body)[0])["undam"]
        assert head is not None
        assert first["due_ns"] - head.arrived_ns == 200_000_000
        call.disconnected.set()
        await task

    run_on(loop, main())


def test_the_default_schedule_respects_the_limits(loop: str) -> None:
    call = _serve(loop, _call(), max_events=3, max_silence_s=0.01, max_gap_ms=1)
    assert len(_data(call)) == 4


@pytest.mark.parametrize("event_bytes", [100, 200, 4096, 65536])
def test_an_event_has_the_configured_size(loop: str, event_bytes: int) -> None:
    schedule = BeaconSchedule(ttft_ms=0, gap_ms=0, before=120, silence_ms=0, after=0)
    call = _serve(loop, _asking(schedule), event_bytes=event_bytes)
    sizes = {len(part) + 2 for part in call.body.removeprefix(b": open\n").split(b"\n\n")[:-2]}
    assert max(sizes) == event_bytes
    assert min(sizes) == event_bytes - 2  # Events with one-digit sequence numbers are shorter.


def test_heartbeats_need_a_request_and_at_least_50_ms(loop: str) -> None:
    quiet = BeaconSchedule(ttft_ms=0, gap_ms=0, before=1, silence_ms=400, after=1)
    assert b": ping" not in _serve(loop, _asking(quiet)).body
    asked = BeaconSchedule(
        ttft_ms=0, gap_ms=0, before=1, silence_ms=400, after=1, heartbeat_ms=1
    )  # fmt: skip
    pings = _serve(loop, _asking(asked)).body.count(b": ping\n\n")
    assert 1 <= pings <= 8


def test_the_end_of_an_exchange_can_be_queried(loop: str) -> None:
    async def main() -> None:
        beacon = _beacon()

        async def closed(ident: str) -> Any:
            return _json(await _call(f"closed; id={ident}").serve(beacon))

        assert await closed("never") == {"known": False, "closed_ns": None, "finished": False}
        quiet = BeaconSchedule(ttft_ms=0, gap_ms=0, before=1, silence_ms=60_000, after=1)
        call = _asking(quiet, "mine")
        task = call.start(beacon)
        await call.until(lambda: _events(call.body))
        assert await closed("mine") == {"known": True, "closed_ns": None, "finished": False}
        left_ns = time.time_ns()
        call.disconnected.set()
        await task
        reply = await closed("mine")
        assert reply["known"] is True
        assert reply["finished"] is False
        assert left_ns <= reply["closed_ns"] <= time.time_ns()
        head = parse_head(call.headers[HEADER.lower()])
        assert head is not None
        assert head.id == "mine"

        whole = await _asking(QUICK).serve(beacon)
        name = parse_head(whole.headers[HEADER.lower()])
        assert name is not None
        assert (await closed(name.id))["finished"] is True

    run_on(loop, main())


@pytest.mark.parametrize(
    "query",
    [
        "nonsense",
        "",
        "closed",
        "closed; id=" + "x" * 65,
        "closed; id=a/b",
        "schedule; ttft_ms=-1",
        "schedule; ttft_ms=1e3",
        "schedule; ttft_ms=300001",
        "schedule; silence_ms=300001",
        "schedule; gap_ms=1001",
        "schedule; before=2001",
        "schedule; after=2001",
        "schedule; before=1001; after=1000",
        "schedule; before=" + "9" * 20,
        "schedule; before=" + "9" * 5000,
        "schedule; what=1",
        b"\xff\xfe",
        b"schedule; before=\xb2",
        "clock; before=3000",
    ],
)
def test_an_invalid_request_gets_a_400_with_one_line(loop: str, query: str | bytes) -> None:
    call = _serve(loop, _call(query))
    assert call.status == 400
    assert call.body.count(b"\n") == 1
    assert len(call.body) < 300


def test_the_limits_are_configurable(loop: str) -> None:
    at_most = BeaconSchedule(ttft_ms=10, gap_ms=2, before=6, silence_ms=10, after=4)
    bounds = {"max_events": 10, "max_silence_s": 0.01, "max_gap_ms": 2}
    assert len(_data(_serve(loop, _asking(at_most), **bounds))) == 11
    for more in ({"before": 7}, {"gap_ms": 3}, {"silence_ms": 11}, {"ttft_ms": 11}):
        values = {"ttft_ms": 10, "gap_ms": 2, "before": 6, "silence_ms": 10, "after": 4, **more}
        assert _serve(loop, _asking(BeaconSchedule(**values)), **bounds).status == 400


def test_concurrent_streams_are_limited_and_an_end_frees_a_slot(loop: str) -> None:
    async def main() -> None:
        beacon = _beacon(max_streams=2)
        quiet = BeaconSchedule(ttft_ms=0, gap_ms=0, before=1, silence_ms=60_000, after=0)
        calls = [_asking(quiet), _asking(quiet)]
        tasks = [call.start(beacon) for call in calls]
        for call in calls:
            await call.until(lambda one=call: _events(one.body))  # type: ignore[misc]
        assert (await _asking(QUICK).serve(beacon)).status == 429
        assert (await _call("clock").serve(beacon)).status == 200
        calls[0].disconnected.set()
        await tasks[0]
        assert (await _asking(QUICK).serve(beacon)).status == 200
        tasks[1].cancel()
        await asyncio.wait(tasks)
        for _ in range(5):
            both = [_asking(QUICK), _asking(QUICK)]
            await asyncio.gather(*(call.start(beacon) for call in both))
            assert [call.status for call in both] == [200, 200]
            assert (await _call(method="HEAD").serve(beacon)).status == 200

    run_on(loop, main())


def test_the_number_of_stored_ends_is_bounded(loop: str) -> None:
    async def main() -> None:
        beacon = _beacon()
        one = BeaconSchedule(ttft_ms=0, gap_ms=0, before=1, silence_ms=0, after=0)
        for number in range(1100):
            await _asking(one, f"n{number}").serve(beacon)
        for ident, known in (("n0", False), ("n99", False), ("n100", True), ("n1099", True)):
            reply = _json(await _call(f"closed; id={ident}").serve(beacon))
            assert reply["known"] is known

    run_on(loop, main())


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods_are_rejected(loop: str, method: str) -> None:
    call = _serve(loop, _call(method=method))
    assert (call.status, call.body) == (405, b"")
    assert call.headers["allow"] == "GET, HEAD, POST"


def test_a_posted_body_is_discarded(loop: str) -> None:
    query = format_query(BeaconQuery("schedule", schedule=QUICK))
    assert len(_data(_serve(loop, _call(query, method="POST")))) == 6


def test_a_head_request_gets_the_headers(loop: str) -> None:
    call = _serve(loop, _call(method="HEAD"))
    assert (call.status, call.body) == (200, b"")
    assert parse_head(call.headers[HEADER.lower()]) is not None


def test_it_can_be_served_by_itself(loop: str) -> None:
    async def main() -> None:
        reply: list[str] = []
        coming = ["lifespan.startup", "lifespan.shutdown"]

        async def receive() -> dict[str, Any]:
            return {"type": coming.pop(0)}

        async def send(message: Any) -> None:
            reply.append(message["type"])

        await _beacon()({"type": "lifespan"}, receive, send)
        assert reply == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        reply.clear()
        await _beacon()({"type": "websocket", "headers": []}, receive, send)
        assert reply == ["websocket.close"]

    run_on(loop, main())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token": ""}, "token"),
        ({"max_events": 0}, "max_events"),
        ({"max_streams": 0}, "max_streams"),
        ({"max_silence_s": -1}, "max_silence_s"),
        ({"max_silence_s": float("nan")}, "max_silence_s"),
        ({"max_gap_ms": -1}, "max_gap_ms"),
        ({"event_bytes": 99}, "event_bytes"),
        ({"event_bytes": 65537}, "event_bytes"),
    ],
)
def test_an_invalid_bound_is_rejected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Beacon(**{"token": TOKEN, **options})
