"""Analysis of whole captures, made of synthetic packets: verdict and holds per proxy."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from support.capture_builder import (
    RST,
    Connection,
    Side,
    chat_events,
    chat_request,
    chunk,
    head,
    stream_through_proxy,
)
from undam.rules import Severity, Verdict
from undam.tap.capture.capture_file import Packet
from undam.tap.capture.segments import Endpoint
from undam.tap.proxies import ProxyResult, findings_of
from undam.tap.session import TapSession

PROXY = Endpoint("10.0.0.2", 8080)
DUE = [200 + 20.0 * number for number in range(100)]


def analyze(packets: Sequence[Packet], ports: Sequence[int] = ()) -> TapSession:
    session = TapSession(ports)
    for packet in packets:
        session.receive_packet(packet)
    session.finish()
    return session


def blocks(due: Sequence[float], size: int) -> list[float]:
    return [
        due[min(len(due) - 1, number // size * size + size - 1)] + 0.2 for number in range(len(due))
    ]


def merged(streams: Sequence[list[Packet]]) -> list[Packet]:
    return sorted((one for some in streams for one in some), key=lambda packet: packet.at_ns)


def only(session: TapSession) -> ProxyResult:
    assert list(session.proxies) == [PROXY]
    return session.proxies[PROXY]


def test_a_healthy_proxy_is_streaming_and_its_holds_are_exact() -> None:
    result = only(analyze(stream_through_proxy(DUE, [at + 0.3 for at in DUE])))
    assert result.verdict is Verdict.STREAMING
    assert {round(hold / 1e6, 3) for hold in result.holds_ns} == {0.3}


def test_a_proxy_with_blocks_is_batched_and_names_the_fix() -> None:
    gaps = random.Random(3)
    due = [200.0]
    while len(due) < 100:
        due.append(due[-1] + gaps.uniform(5, 45))
    result = only(analyze(stream_through_proxy(due, blocks(due, 10))))
    assert result.verdict is Verdict.BATCHED
    assert max(result.holds_ns) / 1e6 == pytest.approx(
        max(due[at + 9] + 0.2 - due[at] for at in range(0, 100, 10)), abs=0.1
    )
    assert result.example is not None
    (error,) = [one for one in findings_of(result.example) if one.severity is Severity.ERROR]
    assert error.code in {"UD102", "UD111"}
    assert error.fix is not None
    assert "proxy_buffering off" in error.fix.text


def test_a_proxy_that_holds_to_the_end_is_found_though_its_side_looks_like_one_block() -> None:
    result = only(analyze(stream_through_proxy(DUE, [DUE[-1] + 0.5] * len(DUE))))
    assert result.verdict is Verdict.HELD_TO_END


def test_an_event_that_waits_for_the_next_one_is_late() -> None:
    out = [*[at + 0.1 for at in DUE[1:]], DUE[-1] + 0.1]
    assert only(analyze(stream_through_proxy(DUE, out))).verdict is Verdict.LATE


def test_bursts_of_the_origin_are_not_blamed_on_the_proxy() -> None:
    due = [200 + 160.0 * (number // 8) for number in range(96)]
    result = only(analyze(stream_through_proxy(due, [at + 0.2 for at in due])))
    assert result.verdict is Verdict.STREAMING


def test_concurrent_streams_are_paired_with_their_own_upstream_connection() -> None:
    streams = [
        stream_through_proxy(
            DUE, [at + 1 + number for at in DUE], number=number, start_ms=number * 3
        )
        for number in range(20)
    ]
    result = only(analyze(merged(streams)))
    assert result.streams == 20
    assert sorted({round(hold / 1e6) for hold in result.holds_ns}) == list(range(1, 21))


def test_a_chain_of_proxies_with_equal_answers_does_not_become_a_cycle() -> None:
    servers = [("10.0.0.2", 8080), ("10.0.0.2", 8081), ("10.0.0.2", 9000)]
    connections = []
    for number in range(6):
        start = 0.5 * number
        for depth, server in enumerate(servers):
            client = "10.0.0.1" if not depth else "10.0.0.2"
            one = Connection(Side(client, 40000 + 10 * number + depth, 1), Side(*server, 1))
            one.open(start + 0.2 * depth)
            one.request(start + 0.2 * depth + 0.1, chat_request("the same question"))
            at = 200 + 0.1 * number - 0.1 * depth
            one.response(at, head())
            for step, event in enumerate(chat_events(60, f"answer-{number}")):
                one.response(at + 10 * step, chunk(event))
            one.response(at + 600, chunk(b"data: [DONE]\n\n") + chunk(b""))
            one.close(at + 601)
            connections.append(one.packets)
    session = analyze(merged(connections))
    assert {str(one) for one in session.proxies} == {"10.0.0.2:8080", "10.0.0.2:8081"}
    assert {one.streams for one in session.proxies.values()} == {6}


def test_a_capture_of_one_side_only_has_no_proxy() -> None:
    packets = [
        one for one in stream_through_proxy(DUE, blocks(DUE, 25)) if b"\x1f\x90" in one.data[34:38]
    ]
    session = analyze(packets)
    assert session.proxies == {}
    (single,) = session.singles.values()
    assert single.address == PROXY


def test_a_proxy_that_holds_some_streams_has_an_example_of_them() -> None:
    free, held = [at + 0.3 for at in DUE], blocks(DUE, 25)
    outs = [free] * 14 + [held] * 6
    streams = [
        stream_through_proxy(DUE, out, number=number, start_ms=50.0 * number)
        for number, out in enumerate(outs)
    ]
    result = only(analyze(merged(streams)))
    assert (result.verdict, result.held_streams) == (Verdict.STREAMING, 6)
    assert result.held_example is not None
    assert result.held_example.shape.held
    # One held stream among many may be due to a busy machine.
    result = only(analyze(merged(streams[:15])))
    assert (result.held_streams, result.held_example) == (1, None)


def test_missing_packets_with_the_end_of_a_stream_are_not_a_cut_stream() -> None:
    packets = stream_through_proxy(DUE, [at + 0.3 for at in DUE])
    kept = [one for one in packets if b"[DONE]" not in one.data]
    assert len(kept) < len(packets)
    result = only(analyze(kept))
    assert result.example is not None
    assert not {one.code for one in findings_of(result.example)} & {"UD601", "UD602"}


def test_a_stream_without_its_request_has_no_ttft() -> None:
    packets = stream_through_proxy(DUE, [at + 0.3 for at in DUE])
    kept = [one for one in packets if b"POST" not in one.data]
    result = only(analyze(kept))
    assert (result.ttft_in_ns, result.ttft_out_ns) == ([], [])


PROBE = b"%b HTTP/1.1\r\nHost: api.example\r\n\r\n"
PLAIN_HEAD = b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n\r\n"


@pytest.mark.parametrize(
    ("request_line", "response"),
    [
        (b"HEAD /health", PLAIN_HEAD % b"200 OK"),
        (b"HEAD /health", PLAIN_HEAD % b"404 Not Found"),
        (b"GET /models", PLAIN_HEAD % b"200 OK" + b"x" * 500),
        (b"GET /models", PLAIN_HEAD % b"304 Not Modified"),
        (b"CONNECT api.example:80", b"HTTP/1.1 200 Connection established\r\n\r\n"),
        (b"CONNECT api.example:80", PLAIN_HEAD % b"403 Forbidden" + b"x" * 500),
    ],
)
@pytest.mark.parametrize("is_pipelined", [False, True])
def test_a_stream_follows_another_request_on_its_connection(
    request_line: bytes, response: bytes, is_pipelined: bool
) -> None:
    one = Connection(Side("10.0.0.1", 40000, 1), Side("10.0.0.2", 8080, 1))
    one.open(0)
    one.request(1, PROBE % request_line)
    events = b"".join(map(chunk, chat_events(30, "answer")))
    answer = head() + events + chunk(b"data: [DONE]\n\n") + chunk(b"")
    if is_pipelined:
        one.request(2, chat_request())
        one.response(10, response + answer)
    else:
        one.response(2, response)
        one.request(5, chat_request())
        one.response(10, answer)
    one.close(20)
    (single,) = analyze(one.packets).singles.values()
    assert single.streams == 1
    assert len(single.results[0].outer.texts) == 30


def test_other_ports_are_ignored() -> None:
    session = analyze(stream_through_proxy(DUE, DUE), ports=[8080])
    assert session.proxies == {}
    assert list(session.singles) == [PROXY]


@pytest.mark.parametrize("part", range(4))
def test_lost_reordered_and_repeated_packets_never_become_a_hold(part: int) -> None:
    lost = 0
    for seed in range(part * 25, part * 25 + 25):
        chance = random.Random(seed)
        streams = [
            stream_through_proxy(
                DUE, [at + 0.3 for at in DUE], number=number, start_ms=7.0 * number
            )
            for number in range(3)
        ]
        packets = [one for one in merged(streams) if chance.random() > 0.2]
        for _ in range(len(packets) // 20):
            at = chance.randrange(len(packets) - 1)
            packets[at], packets[at + 1] = packets[at + 1], packets[at]
        packets += chance.sample(packets, len(packets) // 20)
        packets = packets[chance.randrange(40) :]
        session = analyze(packets)
        lost += session.table.stats.lost_bytes > 0
        verdicts = [*session.proxies.values()]
        assert all(not one.example.shape.held for one in verdicts if one.example), seed
        for single in session.singles.values():
            assert all(not one.shape.held for one in single.results), seed
    assert lost == 25


def test_a_real_hold_is_still_found_with_missing_packets() -> None:
    found = 0
    for seed in range(20):
        chance = random.Random(seed)
        packets = stream_through_proxy(DUE, blocks(DUE, 20))
        kept = [one for one in packets if chance.random() > 0.03]
        session = analyze(kept)
        found += any(one.verdict is Verdict.BATCHED for one in session.proxies.values())
    assert found >= 18


def test_a_slow_reader_is_not_blamed_on_the_proxy() -> None:
    packets = stream_through_proxy(DUE, blocks(DUE, 25))
    client, proxy = Side("10.0.0.1", 40000, 1000), Side("10.0.0.2", 8080, 5000)
    full = Connection(client, proxy)
    full.window(900.0, 0)
    result = only(analyze(merged([packets, full.packets])))
    assert result.verdict is Verdict.UNKNOWN
    assert result.zero_windows == 1


def test_a_client_disconnect_that_reaches_the_origin_is_timed() -> None:
    events = chat_events(50, "cut")
    outer = Connection(Side("10.0.0.1", 40000, 1), Side("10.0.0.2", 8080, 1))
    inner = Connection(Side("10.0.0.2", 50000, 1), Side("10.0.0.3", 9000, 1))
    for connection, at in ((outer, 0.0), (inner, 0.3)):
        connection.open(at)
        connection.request(at + 0.1, chat_request())
        connection.response(at + 100, head())
        for number, event in enumerate(events):
            connection.response(at + 100 + 20 * number, chunk(event))
    outer.close(1200, by_client=True, flags=RST)
    inner.close(1205, by_client=True, flags=RST)
    result = only(analyze(merged([outer.packets, inner.packets])))
    assert result.cuts == {"client": 1}
    assert [round(one / 1e6) for one in result.cancels_ns] == [5]


def test_lost_events_are_counted_between_the_sides() -> None:
    events = chat_events(40, "lossy")
    outer = Connection(Side("10.0.0.1", 40000, 1), Side("10.0.0.2", 8080, 1))
    inner = Connection(Side("10.0.0.2", 50000, 1), Side("10.0.0.3", 9000, 1))
    for connection, at, every in ((outer, 0.0, 10), (inner, 0.3, 0)):
        connection.open(at)
        connection.request(at + 0.1, chat_request())
        connection.response(at + 100, head())
        for number, event in enumerate(events):
            if not every or number % every != 5:
                connection.response(at + 100 + 20 * number, chunk(event))
        connection.response(at + 2000, chunk(b""))
        connection.close(at + 2001)
    result = only(analyze(merged([outer.packets, inner.packets])))
    assert (result.integrity.sent, result.integrity.counts["lost"]) == (40, 4)


def test_a_clean_stream_has_no_integrity_fault() -> None:
    result = only(analyze(stream_through_proxy(DUE, [at + 0.3 for at in DUE])))
    assert not result.integrity.counts
    assert result.integrity.sent == 100
