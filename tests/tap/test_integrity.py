"""Content faults that occur between the two sides of a proxy."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from support.capture_builder import Connection, Side, chat_request, chunk, head
from undam.cli.commands.tap.capture import TapRun
from undam.cli.commands.tap.report import findings
from undam.rules import Severity
from undam.tap.capture.capture_file import Packet
from undam.tap.integrity import ProxyIntegrity
from undam.tap.session import TapSession

WORDS = [f"word{number} " for number in range(40)]
Event = Callable[[str], bytes]


def chat(text: str, ident: str = "a", key: str = "content") -> bytes:
    body = b'{"id":"%s","choices":[{"index":0,"delta":{"%s":"%s"}}]}'
    return b"data: " + body % (ident.encode(), key.encode(), text.encode()) + b"\n\n"


def messages(text: str) -> bytes:
    body = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}'
    return b"event: content_block_delta\ndata: " + body % text.encode() + b"\n\n"


def two_sides(inner: Sequence[bytes], outer: Sequence[bytes]) -> list[Packet]:
    """Return packets with ``inner`` on a proxy's origin side and ``outer`` on its client side."""
    near = Connection(Side("10.0.0.1", 40000, 1), Side("10.0.0.2", 8080, 1))
    far = Connection(Side("10.0.0.2", 50000, 1), Side("10.0.0.3", 9000, 1))
    for connection, at, events in ((near, 0.3, outer), (far, 0.0, inner)):
        connection.open(at)
        connection.request(at + 0.5 - at, chat_request())
        connection.response(at + 100, head())
        for number, event in enumerate(events):
            connection.response(at + 100 + 20 * number, chunk(event))
        connection.response(at + 2000, chunk(b"data: [DONE]\n\n") + chunk(b""))
        connection.close(at + 2001)
    return sorted(near.packets + far.packets, key=lambda one: one.at_ns)


def analyze(packets: Sequence[Packet]) -> TapSession:
    session = TapSession()
    for packet in packets:
        session.receive_packet(packet)
    session.finish()
    return session


def integrity(inner: Sequence[bytes], outer: Sequence[bytes]) -> ProxyIntegrity:
    (proxy,) = analyze(two_sides(inner, outer)).proxies.values()
    return proxy.integrity


EVENTS = [chat(word) for word in WORDS]
SWAPPED = [*EVENTS[:7], EVENTS[8], EVENTS[7], *EVENTS[9:]]
FAULTS = {
    "lost": (EVENTS[:5] + EVENTS[6:20] + EVENTS[21:], {"lost": 2}, "UD611", "event 5"),
    "lost at the end": (EVENTS[:38], {"lost": 2}, "UD611", "event 38"),
    "half of the events lost": (EVENTS[::2], {"lost": 20}, "UD611", "event 1"),
    "duplicated": ([*EVENTS[:9], EVENTS[8], *EVENTS[9:]], {"duplicated": 1}, "UD612", "event 9"),
    "every event duplicated": (
        [one for one in EVENTS for _ in range(2)], {"duplicated": 40}, "UD612", "event",
    ),
    "reordered": (SWAPPED, {"reordered": 1}, "UD613", "event"),
    "altered": ([*EVENTS[:9], chat("****** "), *EVENTS[10:]], {"altered": 1}, "UD614", "event 9"),
    "torn": ([*EVENTS[:9], chat("w\ufffdrd9 "), *EVENTS[10:]], {"torn": 1}, "UD615", "event 9"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_between_the_sides_is_counted_and_its_place_is_reported(name: str) -> None:
    outer, counts, code, place = FAULTS[name]
    session = analyze(two_sides(EVENTS, outer))
    (proxy,) = session.proxies.values()
    assert {kind: count for kind, count in proxy.integrity.counts.items() if count} == counts
    assert (proxy.integrity.sent, proxy.integrity.received) == (40, len(outer))
    (found,) = [one for one in findings(TapRun(session, "test")) if one.code[:3] == "UD6"]
    assert found.code == code
    assert str(found.evidence["first"]).startswith(place)
    assert "10.0.0.1:40000" in str(found.evidence["first"])
    assert found.severity is (Severity.WARNING if name == "altered" else Severity.ERROR)


REASONING = [chat(f"think{number} ", key="reasoning_content") for number in range(15)]
HEALTHY = {
    "the same": (EVENTS, EVENTS),
    "another id and model": (EVENTS, [chat(word, ident="b") for word in WORDS]),
    "another API": (EVENTS, [messages(word) for word in WORDS]),
    "merged events": (
        EVENTS, [chat(WORDS[at] + WORDS[at + 1], ident="b") for at in range(0, 40, 2)],
    ),
    "hidden reasoning": (REASONING + EVENTS, EVENTS),
    "an added notice": (EVENTS, [*EVENTS, chat("This answer was generated. ")]),
    "equal words": (
        [chat(word) for word in ["a ", "b ", "a ", "a "] * 10],
        [chat(word) for word in ["a ", "b ", "a ", "a "] * 10],
    ),
    "another key order": (
        EVENTS,
        [one.replace(b'"index":0,"delta"', b'"delta"').replace(b"}}]", b'},"index":0}]')
         for one in EVENTS],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_no_fault_is_reported_for_what_a_proxy_may_do(name: str) -> None:
    inner, outer = HEALTHY[name]
    session = analyze(two_sides(inner, outer))
    for proxy in session.proxies.values():
        assert not sum(proxy.integrity.counts.values())
    assert not [one for one in findings(TapRun(session, "test")) if one.code[:3] == "UD6"]


def test_missing_packets_are_never_missing_events() -> None:
    packets = two_sides(EVENTS, EVENTS)
    for seed in range(60):
        chance = random.Random(seed)
        kept = [one for one in packets if chance.random() > chance.choice((0.02, 0.2))]
        session = analyze(kept[chance.randrange(30) :])
        assert not any(sum(one.integrity.counts.values()) for one in session.proxies.values())


def test_a_stream_that_was_cut_is_not_compared() -> None:
    packets = two_sides(EVENTS, EVENTS)
    session = analyze(packets[: len(packets) // 2])
    assert not any(one.integrity.streams for one in session.proxies.values())


def test_many_differences_are_not_compared() -> None:
    other = [chat(f"other{number} ") for number in range(40)]
    assert integrity(EVENTS, [*EVENTS[:25], *other[25:]]).counts.total() == 0
