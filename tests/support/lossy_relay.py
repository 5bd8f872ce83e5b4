"""Relays that damage a stream: as functions on events, and as a server on loopback."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from support.synthetic_streams import START_NS, Write
from support.threaded_server import Server, serving
from undam.timing.numbered_text import answer_tag, encode_piece

Damage = Callable[[list[bytes], set[int]], list[bytes]]
"""``(events, positions of the faults) -> events``"""


def numbered_events(count: int, *, ident: str = "a", gap_ms: float = 25) -> list[bytes]:
    """Return the events of a chat completion with numbered text, including the end."""
    events = []
    for seq in range(count):
        due_ns = START_NS + round((300 + gap_ms * seq) * 1e6)
        events.append(_chunk({"content": encode_piece(seq, count, due_ns, answer_tag(ident))}))
    return [*events, _chunk({}, "stop"), b"data: [DONE]\n\n"]


def plain_events(texts: Sequence[str]) -> list[bytes]:
    """Return the events of a chat completion without a beacon, including the end."""
    return [*(_chunk({"content": text}) for text in texts), _chunk({}, "stop"), b"data: [DONE]\n\n"]


def as_writes(events: Sequence[bytes], gap_ms: float = 25) -> list[Write]:
    """Return events as reads; events that a relay repeats arrive simultaneously."""
    writes: list[Write] = []
    at_ms = 300.0
    for before, event in zip([b"", *events], events, strict=False):
        at_ms += 0.0 if event == before else gap_ms
        writes.append(Write(at_ms, event))
    return writes


def _chunk(delta: dict[str, str], reason: str | None = None) -> bytes:
    payload = {
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }  # fmt: skip
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


def drop(events: list[bytes], at: set[int]) -> list[bytes]:
    """Leave out events."""
    return [event for index, event in enumerate(events) if index not in at]


def duplicate(events: list[bytes], at: set[int]) -> list[bytes]:
    """Send events twice."""
    return [event for index, event in enumerate(events) for _ in range(2 if index in at else 1)]


def swap(events: list[bytes], at: set[int]) -> list[bytes]:
    """Swap the event at each of these positions with the next event."""
    out = list(events)
    for index in sorted(at):
        out[index : index + 2] = out[index + 1], out[index]
    return out


def truncate(events: list[bytes], at: set[int]) -> list[bytes]:
    """Remove all content from the first of these positions on, but end the stream normally."""
    return events[: min(at)] + events[-2:]


def garble(events: list[bytes], at: set[int]) -> list[bytes]:
    """Split the events at these positions within a character, and decode each half separately."""
    out = []
    for index, event in enumerate(events):
        inside = [i for i, byte in enumerate(event) if byte & 0xC0 == 0x80]
        if index in at and inside:
            cut = inside[len(inside) // 2]
            halves = (event[:cut], event[cut:])
            out.append("".join(half.decode("utf-8", "replace") for half in halves).encode())
        else:
            out.append(event)
    return out


def alter(events: list[bytes], at: set[int]) -> list[bytes]:
    """Remove one character from the text."""
    out = []
    for index, event in enumerate(events):
        text = event.decode()
        middle = text.find(":", text.find("[u")) + 1
        out.append((text[:middle] + text[middle + 1 :]).encode() if index in at else event)
    return out


def merge(events: list[bytes], at: set[int]) -> list[bytes]:
    """Continue with the text of another answer, as after a failover."""
    return events[: min(at)] + numbered_events(len(events) - 2, ident="other")


RELAYS: dict[str, tuple[Damage, str]] = {
    "drop": (drop, "lost"),
    "duplicate": (duplicate, "duplicated"),
    "swap": (swap, "reordered"),
    "truncate": (truncate, "lost"),
    "garble": (garble, "torn"),
    "alter": (alter, "altered"),
    "merge": (merge, "mixed"),
}
"""Each relay, and the field of ``AnswerIntegrity`` that counts its faults."""


def positions(rng: random.Random, count: int, rate: float, *, torn: bool = False) -> set[int]:
    """Return random fault positions: at least one, and no two adjacent ones."""
    usable = [i for i in range(1, count - 1) if not torn or i % 10]
    chosen = {i for i in usable if rng.random() < rate} or {rng.choice(usable)}
    return {i for i in chosen if i - 1 not in chosen}


@contextlib.contextmanager
def relay(upstream_port: int, mode: str, at: set[int]) -> Iterator[Server]:
    """Run a relay that forwards each event immediately but damages the content of streams.

    Args:
        mode: one of ``RELAYS``, or "none".
        at: content events to damage.
    """

    def serve(conn: socket.socket, request: bytes) -> None:
        with _asked(upstream_port, request) as reply:
            head = _head(reply)
            if b"chunked" not in head.lower():
                conn.sendall(head + reply.read())
                return
            conn.sendall(head.replace(b"Transfer-Encoding: chunked\r\n", b""))
            forwarded = _forward(conn, _events(reply), mode, at)
        if not forwarded:
            with _asked(upstream_port, request) as reply:
                _head(reply)
                _forward(conn, _events(reply), "none", set())

    with serving(serve) as server:
        yield server


@contextlib.contextmanager
def _asked(port: int, request: bytes) -> Iterator[BinaryIO]:
    closing = request.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\nConnection: close\r\n", 1)
    with socket.create_connection(("127.0.0.1", port), 20) as upstream:
        upstream.sendall(closing)
        with upstream.makefile("rb") as reply:
            yield reply


def _head(reply: BinaryIO) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = reply.readline()
        assert line, "the upstream closed the connection"
        head += line
    return head


def _events(reply: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while size := int(reply.readline(), 16):
        *whole, rest = (rest + reply.read(size)).split(b"\n\n")
        reply.readline()
        yield from (event + b"\n\n" for event in whole)


def _forward(conn: socket.socket, events: Iterator[bytes], mode: str, at: set[int]) -> bool:
    """Forward events one by one; return ``False`` if another answer should follow ("merge")."""
    held: bytes | None = None
    index = -1
    for event in events:
        is_content = b"[u" in event
        index += is_content
        if held is not None:
            conn.sendall(b"".join(RELAYS[mode][0]([held, event], {0})))
            held = None
        elif not is_content or mode == "none" or index < min(at):
            conn.sendall(event)
        elif mode == "merge":
            return False
        elif mode != "truncate" and index in at:
            held = event
        elif mode != "truncate":
            conn.sendall(event)
    if held is not None:
        conn.sendall(held)
    return True
