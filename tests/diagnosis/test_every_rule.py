"""Each rule reports a finding for a faulty exchange, and none for a similar healthy exchange."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from support import load_test_model
from support.capture_builder import (
    Connection,
    Side,
    chat_request,
    chunk,
    head,
    stream_through_proxy,
)
from support.diagnosis_cases import (
    DUE,
    END,
    SHORT,
    Findings,
    analyze_hops,
    codes,
    diagnose,
    findings_for_event_size,
    findings_in_body,
    findings_of_broken_stream,
    findings_with_head,
    head_with,
    sse,
    through,
)
from support.lossy_relay import (
    Damage,
    alter,
    as_writes,
    drop,
    duplicate,
    garble,
    merge,
    numbered_events,
    swap,
    truncate,
)
from support.queue_servers import OPEN_LOOP, open_loop_summary, queueing
from support.synthetic_streams import (
    Write,
    answer,
    block_buffer,
    chat_event,
    even_schedule,
    exchange,
    hold_to_end,
    merged,
    one_write_behind,
    pass_through,
    timed_flush,
)
from undam.cli.commands.tap.capture import TapRun
from undam.cli.commands.tap.report import findings as findings_of_tap
from undam.diagnosis.findings.disconnect import Disconnect, find_disconnects
from undam.diagnosis.findings.limits import PathLimits, find_limits
from undam.diagnosis.findings.reuse import find_reuse_delay, reuse_delay_ns
from undam.diagnosis.findings.standing import StandingStream, find_standing
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import Hop
from undam.metrics import LoadGeneratorStats, summarize
from undam.metrics.validity.asked import RequestedLoad
from undam.probe.followup.comparisons import WITHOUT_PROXY, FollowUpResult, find_proxy_hold
from undam.probe.http_versions import find_difference
from undam.record import Ending, Exchange, Head, Http2Facts, Outcome
from undam.rules import RULES, Severity, finding
from undam.tap.capture.capture_file import Packet
from undam.tap.session import TapSession

Case = Callable[[], Findings]


def _with_accel(*, inner: bool, outer: bool) -> Findings:
    def head(has: bool) -> Head:
        return head_with() if has else head_with(("X-Accel-Buffering", None))

    return diagnose(
        exchange(SHORT, hop="edge", head=head(outer)),
        exchange(SHORT, hop="model", head=head(inner)),
    )


def _steps(per_step: int, gap_ms: float = 25.0, events: int = 120) -> Exchange:
    return exchange(merged(answer([300 + gap_ms * (i // per_step) for i in range(events)])))


def _silent(before_s: float, within_s: float) -> Findings:
    late = even_schedule(25, 10, first_ms=(before_s + within_s) * 1000)
    return diagnose(exchange(answer([before_s * 1000, *late])))


HTML = (("Content-Type", "text/html"),)

CASES: dict[str, tuple[Case, Case]] = {
    "UD101": (lambda: diagnose(through(hold_to_end())), lambda: diagnose(through(pass_through()))),
    "UD102": (lambda: diagnose(through(block_buffer(4096))), lambda: diagnose(_steps(3))),
    "UD103": (
        lambda: diagnose(through(timed_flush(200, from_first_byte=True))),
        lambda: diagnose(through(timed_flush(60))),
    ),
    "UD104": (
        lambda: diagnose(through(one_write_behind()), offset=ClockOffset()),
        lambda: diagnose(through(pass_through()), offset=ClockOffset()),
    ),
    "UD105": (
        lambda: diagnose(exchange(answer(even_schedule(25, 20, first_ms=600)), head_ms=599.9)),
        lambda: diagnose(exchange(answer(even_schedule(25, 20, first_ms=600)), head_ms=590)),
    ),
    "UD106": (
        lambda: diagnose(
            through(hold_to_end(), head=head_with(("Content-Encoding", "gzip")), coded=True)
        ),
        lambda: diagnose(
            through(pass_through(), head=head_with(("Content-Encoding", "gzip")), coded=True)
        ),
    ),
    "UD107": (
        lambda: findings_with_head(("Content-Length", "4321"), ("Transfer-Encoding", None)),
        findings_with_head,
    ),
    "UD108": (lambda: findings_with_head(("Transfer-Encoding", None)), findings_with_head),
    "UD109": (
        lambda: _with_accel(inner=True, outer=False),
        lambda: _with_accel(inner=True, outer=True),
    ),
    "UD110": (
        lambda: find_disconnects("edge", [Disconnect("in silence", 501.0, 3000.0)]),
        lambda: find_disconnects("edge", [Disconnect("in silence", 500.0, 3000.0)]),
    ),
    "UD111": (lambda: diagnose(_uneven()), lambda: diagnose(_steps(5, 60))),
    "UD112": (lambda: diagnose(_steps(3)), lambda: diagnose(_steps(1))),
    "UD113": (
        lambda: load_test_model.findings(load_test_model.simulate(20, per_write=4)),
        lambda: load_test_model.findings(load_test_model.simulate(20, per_write=1)),
    ),
    "UD114": (
        lambda: find_difference(_hop_of(hold_to_end()), _hop_of(pass_through())),
        lambda: find_difference(_hop_of(hold_to_end()), _hop_of(hold_to_end())),
    ),
    "UD115": (
        lambda: diagnose(_over_http2(send_stall_ns=100_000_000)),
        lambda: diagnose(_over_http2(send_stall_ns=99_999_999)),
    ),
    "UD116": (
        lambda: _held_through_proxy(direct_streams=True),
        lambda: _held_through_proxy(direct_streams=False),
    ),
    "UD201": (
        lambda: findings_with_head(("Cache-Control", "no-transform, max-age=60")),
        lambda: findings_with_head(("Cache-Control", "no-transform, max-age=0")),
    ),
    "UD202": (lambda: findings_with_head(("Incremental", None)), findings_with_head),
    "UD203": (
        lambda: findings_with_head(("Connection", "keep-alive"), version="2"),
        lambda: findings_with_head(("Connection", "keep-alive")),
    ),
    "UD204": (
        lambda: findings_with_head(("Content-Type", "text/plain")),
        lambda: findings_with_head(("Content-Type", "Text/Event-Stream; charset=utf-8")),
    ),
    "UD205": (
        lambda: diagnose(exchange([Write(300, b"<html>")], head=head_with(*HTML))),
        lambda: diagnose(exchange([], head=head_with(*HTML))),
    ),
    "UD206": (lambda: _reused(44), lambda: _reused(30)),
    "UD301": (
        lambda: findings_in_body(b"id: 1\ndata: {}\n\n: ping\n\n" + END),
        lambda: findings_in_body(b"id: 1\ndata: {}\n\n: ping\ndata: {}\n\n" + END),
    ),
    "UD401": (lambda: _silent(1, 20.1), lambda: _silent(1, 19.9)),
    "UD402": (lambda: _silent(20.1, 1), lambda: _silent(19.9, 1)),
    "UD403": (
        lambda: find_limits("edge", PathLimits(6.0, idle_s=3.0)),
        lambda: find_limits("edge", PathLimits(6.0)),
    ),
    "UD404": (
        lambda: findings_of_broken_stream(15_020, Ending.TRUNCATED),
        lambda: findings_of_broken_stream(13_300, Ending.RESET),
    ),
    "UD405": (
        lambda: find_limits("edge", PathLimits(6.0, drop_between_s=(1.0, 2.0))),
        lambda: find_limits("edge", PathLimits(6.0)),
    ),
    "UD406": (
        lambda: find_limits("edge", PathLimits(6.0, heartbeats_arrive=False)),
        lambda: find_limits("edge", PathLimits(6.0, heartbeats_arrive=True)),
    ),
    "UD501": (lambda: findings_for_event_size(16), lambda: findings_for_event_size(11)),
    "UD503": (
        lambda: diagnose(_steps(8, 160, events=123)),
        lambda: diagnose(_steps(8, 160, events=128)),
    ),
    "UD504": (
        lambda: _tool_call(silent_ms=1100, chars=250),
        lambda: _tool_call(silent_ms=1100, chars=190),
    ),
    "UD502": (
        lambda: load_test_model.findings(load_test_model.simulate(20, stall_ms=260)),
        lambda: load_test_model.findings(load_test_model.simulate(20, stall_ms=220)),
    ),
    "UD601": (
        lambda: findings_in_body(chat_event("hi")),
        lambda: findings_in_body(chat_event("hi") + chat_event("", finish=True)),
    ),
    "UD602": (
        lambda: findings_in_body(chat_event("hi"), ending=Ending.TRUNCATED),
        lambda: findings_in_body(chat_event("hi") + END, ending=Ending.TRUNCATED),
    ),
    "UD603": (
        lambda: findings_in_body(sse({"error": {"message": "no more memory"}})),
        lambda: findings_in_body(sse({"error": None, "choices": []}) + END),
    ),
    "UD604": (lambda: diagnose(exchange([])), lambda: findings_in_body(b": ping\n\n" + END)),
    "UD605": (
        lambda: findings_in_body(b"data: {\x00\xff\n\n" + END),
        lambda: findings_in_body(b"data: {}\n\n" + END),
    ),
    "UD606": (
        lambda: diagnose(exchange(SHORT, ending=Ending.TIMEOUT, ended_ms=60_000)),
        lambda: diagnose(exchange(SHORT)),
    ),
    "UD607": (
        lambda: diagnose(exchange(SHORT, ending=Ending.LIMIT)),
        lambda: diagnose(exchange(SHORT)),
    ),
    "UD608": (
        lambda: diagnose(exchange([], ending=Ending.TIMEOUT, ended_ms=60_000)),
        lambda: diagnose(exchange([], ending=Ending.COMPLETE, ended_ms=60_000)),
    ),
    "UD609": (
        lambda: load_test_model.findings(
            load_test_model.simulate(20, failing={3: Outcome.INCOMPLETE})
        ),
        lambda: load_test_model.findings(
            load_test_model.simulate(20, failing={3: Outcome.ABANDONED})
        ),
    ),
    "UD610": (
        lambda: load_test_model.findings(load_test_model.simulate(20, failing={3: Outcome.ERROR})),
        lambda: load_test_model.findings(
            load_test_model.simulate(20, failing={3: Outcome.ABANDONED})
        ),
    ),
    "UD611": (
        lambda: _damaged(drop, {7}),
        lambda: _damaged(drop, set()),
    ),
    "UD612": (
        lambda: _damaged(duplicate, {7}),
        lambda: diagnose(exchange(answer(DUE, [" no", " no", " ha", " ha"] * 30, stamped=False))),
    ),
    "UD613": (lambda: _damaged(swap, {7}), lambda: _damaged(swap, set())),
    "UD614": (lambda: _damaged(alter, {7}), lambda: _damaged(garble, {7})),
    "UD615": (lambda: _damaged(garble, {7}), lambda: _damaged(alter, {7})),
    "UD616": (lambda: _damaged(merge, {7}), lambda: _damaged(truncate, {7})),
    "UD617": (
        lambda: [finding("UD617", "model", error="connection refused by 127.0.0.1:1")],
        lambda: diagnose(exchange(SHORT)),
    ),
    "UD618": (lambda: _standing(head_ms=1001), lambda: _standing(head_ms=1000)),
    "UD619": (
        lambda: _standing(head_ms=None, offered=False),
        lambda: _standing(head_ms=None, offered=True),
    ),
    "UD620": (lambda: _standing(ended_after_s=19.9), lambda: _standing(observed_s=20.0)),
    "UD641": (
        lambda: diagnose(_over_http2(reset="INTERNAL_ERROR", ending=Ending.RESET)),
        lambda: diagnose(exchange(SHORT[:-1], ending=Ending.RESET)),
    ),
    "UD642": (
        lambda: diagnose(_over_http2(goaway="NO_ERROR", ending=Ending.TRUNCATED)),
        lambda: diagnose(_over_http2(goaway="NO_ERROR")),
    ),
    "UD901": (
        lambda: diagnose(exchange(SHORT, late_ns=10_000_001)),
        lambda: diagnose(exchange(SHORT, late_ns=10_000_000)),
    ),
    "UD902": (lambda: diagnose(_coalesced(26_000_000)), lambda: diagnose(_coalesced(1_900_000))),
    "UD903": (
        lambda: diagnose(exchange(SHORT, step_ns=-20_000_001)),
        lambda: diagnose(exchange(SHORT, step_ns=-20_000_000)),
    ),
    "UD904": (
        lambda: diagnose(exchange(SHORT, clock="user")),
        lambda: diagnose(exchange(SHORT, clock="kernel")),
    ),
    "UD905": (
        lambda: diagnose(exchange(answer(even_schedule(25, 7)))),
        lambda: diagnose(exchange(answer(even_schedule(25, 8)))),
    ),
    "UD906": (
        lambda: diagnose(exchange(SHORT), offset=ClockOffset(0, 2_000_001, 0)),
        lambda: diagnose(exchange(SHORT), offset=ClockOffset(0, 2_000_000, 0)),
    ),
    "UD907": (
        lambda: load_test_model.findings(load_test_model.simulate(20, starved_ms=50)),
        lambda: load_test_model.findings(load_test_model.simulate(20, starved_ms=2)),
    ),
    "UD908": (
        lambda: load_test_model.findings(load_test_model.simulate(20, sent_late_ms=10)),
        lambda: load_test_model.findings(load_test_model.simulate(20, sent_late_ms=1)),
    ),
    "UD909": (
        lambda: load_test_model.findings(
            load_test_model.simulate(20), LoadGeneratorStats(waited_percent=20.0)
        ),
        lambda: load_test_model.findings(
            load_test_model.simulate(20), LoadGeneratorStats(waited_percent=19.9)
        ),
    ),
    "UD920": (lambda: _open_loop(rate=120), lambda: _open_loop(rate=36)),
    "UD921": (lambda: _repeated_prompts(cached=11), lambda: _repeated_prompts(cached=10)),
    "UD922": (
        lambda: _repeated_prompts(cached=None),
        lambda: _repeated_prompts(cached=None, prompts=20),
    ),
    "UD931": (lambda: _capture(_without(_event(20))), lambda: _capture(_delayed(_event(20)))),
    "UD932": (lambda: _capture(_cut(96)), lambda: _capture(_cut(65535))),
    "UD933": (lambda: _capture(_with_window(0)), lambda: _capture(_with_window(1))),
    "UD934": (
        lambda: _capture(_connection(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")),
        lambda: _capture(_connection(chat_request())),
    ),
}


def _damaged(damage: Damage, at: set[int]) -> Findings:
    """Return the findings for a numbered answer whose relay damages the given events."""
    events = numbered_events(40)
    return diagnose(exchange(as_writes(damage(events, at) if at else events)))


def _hop_of(model: object) -> Hop:
    (hop,) = analyze_hops(through(model))
    return hop


def _held_through_proxy(*, direct_streams: bool) -> Findings:
    """Return the finding for a hold by a forward proxy, after a request without the proxy."""
    (hop,) = analyze_hops(replace(through(hold_to_end()), proxy="127.0.0.1:3128"))
    direct = FollowUpResult(WITHOUT_PROXY, "edge", "", direct_streams, ttft_ms=300.0)
    return find_proxy_hold(hop, direct)


def _tool_call(silent_ms: float, chars: int) -> Findings:
    """Return the findings for an answer whose tool arguments arrive in one event."""
    due = even_schedule(25, 40)
    call = {"tool_calls": [{"index": 0, "function": {"arguments": "x" * chars}}]}
    arguments = sse({"choices": [{"index": 0, "delta": call, "finish_reason": None}]})
    at = due[-1] + silent_ms
    return diagnose(exchange([*answer(due)[:-1], Write(at, arguments), Write(at + 5, END)]))


def _standing(head_ms: float | None = 3.0, **observed: Any) -> Findings:
    return find_standing("edge", StandingStream(head_ms=head_ms, waited_s=2.0, **observed))


def _open_loop(rate: float) -> Findings:
    """Return the findings for an open-loop test of a server that handles 40 requests per second."""
    return open_loop_summary(queueing(40), rate, 6).findings(asked=OPEN_LOOP)


def _repeated_prompts(cached: int | None, prompts: int = 8) -> Findings:
    """Return the findings for 20 requests, each with ``cached`` of 100 prompt tokens cached."""
    results = [
        replace(one, prompt_tokens=None if cached is None else 100, cached_tokens=cached)
        for one in load_test_model.simulate(20)
    ]
    return summarize(results).findings(asked=RequestedLoad(prompts=prompts))


def _capture(packets: Sequence[Packet]) -> Findings:
    """Return the findings that `undam tap` reports for a capture with these packets."""
    session = TapSession()
    for packet in packets:
        session.receive_packet(packet)
    session.finish()
    return findings_of_tap(TapRun(session, "test.pcap"))


def _through_proxy() -> list[Packet]:
    due = even_schedule(25, 60)
    return stream_through_proxy(due, [at + 0.3 for at in due])


def _event(number: int) -> int:
    """Return the index of the packet that carries event ``number`` to the proxy."""
    text = b"word %d " % number
    return next(at for at, packet in enumerate(_through_proxy()) if text in packet.data)


def _without(index: int) -> list[Packet]:
    packets = _through_proxy()
    return packets[:index] + packets[index + 1 :]


def _delayed(index: int) -> list[Packet]:
    """Return the packets, with one packet moved back by four positions."""
    packets = _through_proxy()
    late = packets.pop(index)
    before = packets[index + 3]
    return [*packets[: index + 4], late._replace(at_ns=before.at_ns), *packets[index + 4 :]]


def _cut(snapshot_bytes: int) -> list[Packet]:
    return [one._replace(data=one.data[:snapshot_bytes]) for one in _through_proxy()]


def _with_window(size: int) -> list[Packet]:
    """Return the packets, with this receive window in one of the client's acknowledgements."""
    packets = _through_proxy()
    is_from_client = [one.data[26:30] == bytes((10, 0, 0, 1)) for one in packets]
    index = len(packets) // 2 + is_from_client[len(packets) // 2 :].index(True)
    data = packets[index].data
    packets[index] = packets[index]._replace(data=data[:48] + struct.pack(">H", size) + data[50:])
    return packets


def _connection(first: bytes) -> list[Packet]:
    """Return the packets of a connection whose first client data is ``first``."""
    connection = Connection(Side("10.0.0.1", 40000, 1), Side("10.0.0.2", 443, 1))
    connection.open(0)
    connection.request(1, first)
    connection.response(200, head() + chunk(b"data: x\n\n") + chunk(b""))
    connection.close(210)
    return connection.packets


def _over_http2(ending: Ending = Ending.COMPLETE, **facts: Any) -> Exchange:
    """Return an answer over HTTP/2. The end marker is missing if ``ending`` is not ``COMPLETE``."""
    writes = SHORT if ending is Ending.COMPLETE else SHORT[:-1]
    given = exchange(writes, ending=ending, head=Head(200, "2", head_with().headers))
    return replace(given, http2=Http2Facts(**facts))


def _reused(gap_ms: float) -> Findings:
    """Return the findings for a reused connection whose first data arrives after ``gap_ms``."""
    fresh = exchange(answer(even_schedule(10, 20, first_ms=5)), head_ms=4)
    reused = exchange(answer(even_schedule(10, 20, first_ms=gap_ms)), head_ms=0)
    return find_reuse_delay("edge", reuse_delay_ns(fresh, reused))


def _uneven() -> Exchange:
    """Return an exchange with irregular bursts, although one event is due every 25 ms."""
    at, due = 300.0, [300.0] * 8
    for events in (12, 28, 8, 36, 10, 32, 3):
        at += 25 * events
        due += [at] * events
    return exchange(merged(answer(due)))


def _coalesced(late_ns: int) -> Exchange:
    """Return an exchange in which one read occurred late and returned two events."""
    due = even_schedule(25, 20)
    due[11] = due[10]
    whole = exchange(merged(answer(due)), late_ns=0)
    arrivals = list(whole.arrivals)
    arrivals[10] = replace(arrivals[10], late_ns=late_ns)
    return replace(whole, arrivals=tuple(arrivals))


def test_every_rule_has_a_pair_of_cases() -> None:
    assert sorted(CASES) == sorted(rule.code for rule in RULES)


@pytest.mark.parametrize("code", sorted(CASES))
def test_finding_is_reported(code: str) -> None:
    assert code in codes(CASES[code][0]())


@pytest.mark.parametrize("code", sorted(CASES))
def test_finding_is_not_reported_for_a_similar_exchange(code: str) -> None:
    assert code not in codes(CASES[code][1]())


def test_healthy_stream_has_no_findings() -> None:
    assert diagnose(exchange(answer(DUE))) == []


def test_worst_finding_is_first() -> None:
    found = diagnose(
        through(hold_to_end(), head=head_with(("Incremental", None), ("Content-Length", "9")))
    )
    order = [one.severity for one in found]
    assert set(order) == set(Severity)
    assert order == sorted(order, key=list(Severity).index)
