"""Synthetic streams: scheduled events, hop models, and the exchanges that a client records."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from undam.record import Ending, Exchange, Head, Stamps
from undam.timing import Arrival

START_NS = 1_790_000_000_000_000_000
MS = 1_000_000

SSE_HEAD = Head(
    200,
    "1.1",
    (
        ("Content-Type", "text/event-stream"),
        ("Transfer-Encoding", "chunked"),
        ("Cache-Control", "no-cache, no-transform"),
        ("X-Accel-Buffering", "no"),
        ("Incremental", "?1"),
    ),
)


@dataclass(frozen=True)
class Write:
    """Bytes that are sent or received together; times are in ms after the request."""

    at_ms: float
    data: bytes


HopModel = Callable[[Sequence[Write], float], list[Write]]
"""``(writes, time at which the origin closed) -> reads of the client``."""


def chat_event(
    text: str, *, seq: int | None = None, due_ms: float = 0.0, finish: bool = False
) -> bytes:
    """Return a chat chunk as an SSE event; ``seq`` adds a beacon timestamp."""
    delta = {"content": text} if text else {}
    reason = "stop" if finish else None
    body: dict[str, object] = {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }  # fmt: skip
    if seq is not None:
        body["undam"] = {"seq": seq, "due_ns": START_NS + round(due_ms * MS)}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def answer(
    due_ms: Sequence[float], texts: Iterable[str] | None = None, *, stamped: bool = True
) -> list[Write]:
    """Return the writes of an OpenAI response: one chunk per due time, the finish chunk, [DONE]."""
    words = iter(texts) if texts is not None else (" tok" for _ in due_ms)
    writes = [
        Write(due, chat_event(word, seq=i if stamped else None, due_ms=due))
        for i, (due, word) in enumerate(zip(due_ms, words, strict=False))
    ]
    last = due_ms[-1] if due_ms else 0.0
    return [*writes, Write(last, chat_event("", finish=True) + b"data: [DONE]\n\n")]


def exchange(
    arrived: Sequence[Write],
    *,
    head: Head | None = SSE_HEAD,
    ending: Ending = Ending.COMPLETE,
    ended_ms: float | None = None,
    head_ms: float = 1.0,
    hop: str = "edge",
    api: str = "openai-chat",
    late_ns: int = 30_000,
    step_ns: int = 0,
    clock: str = "kernel",
    error: str | None = None,
    coded: bool = False,
) -> Exchange:
    """Return the exchange that a client would record; times are in ms after the request."""
    arrivals = tuple(
        Arrival(
            START_NS + round(s.at_ms * MS), s.data, late_ns, len(s.data) // 4 if coded else None
        )
        for s in arrived
    )
    last = arrived[-1].at_ms if arrived else 0.0
    end = last if ended_ms is None else ended_ms
    return Exchange(
        hop=hop,
        url="http://127.0.0.1/v1/chat/completions",
        api=api,
        stamps=Stamps(
            start_ns=START_NS - MS,
            dns_ns=START_NS - MS,
            connect_ns=START_NS - MS // 2,
            sent_ns=START_NS,
            head_ns=START_NS + round(head_ms * MS) if head is not None else None,
        ),
        head=head,
        arrivals=arrivals,
        ending=ending,
        ended_ns=START_NS + round(end * MS),
        clock=clock,
        step_ns=step_ns,
        error=error,
    )


def merged(writes: Iterable[Write]) -> list[Write]:
    """Merge simultaneous writes into one read, as the kernel does."""
    out: list[Write] = []
    for write in writes:
        if out and write.at_ms - out[-1].at_ms < 0.001:
            out[-1] = Write(out[-1].at_ms, out[-1].data + write.data)
        else:
            out.append(write)
    return out


def block_buffer(size: int, *, first: int | None = None) -> HopModel:
    """Return a hop that forwards blocks of ``size`` bytes; ``first`` is the first block's size."""

    def hop_model(writes: Sequence[Write], closed_ms: float) -> list[Write]:
        out: list[Write] = []
        held = b""
        want = size if first is None else first
        for write in writes:
            held += write.data
            while len(held) >= want:
                out.append(Write(write.at_ms, held[:want]))
                held, want = held[want:], size
        return merged([*out, Write(closed_ms, held)] if held else out)

    return hop_model


def timed_flush(period_ms: float, *, from_first_byte: bool = False) -> HopModel:
    """Return a hop that forwards held bytes when a timer of ``period_ms`` fires."""

    def hop_model(writes: Sequence[Write], closed_ms: float) -> list[Write]:
        out: list[Write] = []
        held, release = b"", 0.0
        for write in writes:
            if held and write.at_ms > release:
                out.append(Write(release, held))
                held = b""
            if not held:
                ticks = write.at_ms // period_ms + 1
                release = write.at_ms + period_ms if from_first_byte else ticks * period_ms
            held += write.data
        return merged([*out, Write(min(release, max(closed_ms, writes[-1].at_ms)), held)])

    return hop_model


def one_write_behind() -> HopModel:
    """Return a hop that holds each write until the next one arrives, or until the end."""

    def hop_model(writes: Sequence[Write], closed_ms: float) -> list[Write]:
        together = merged(writes)
        times = [write.at_ms for write in together[1:]] + [closed_ms]
        return merged(Write(time, write.data) for time, write in zip(times, together, strict=True))

    return hop_model


def hold_to_end() -> HopModel:
    """Return a hop that holds the whole response until it ends."""

    def hop_model(writes: Sequence[Write], closed_ms: float) -> list[Write]:
        return [Write(closed_ms, b"".join(write.data for write in writes))]

    return hop_model


def pass_through() -> HopModel:
    """Return a hop that forwards everything immediately."""
    return lambda writes, _closed_ms: merged(writes)


def jittered(reads: Sequence[Write], rng: random.Random, most_ms: float) -> list[Write]:
    """Return the reads with small random delays, in the same order."""
    out: list[Write] = []
    before = 0.0
    for read in reads:
        before = max(before, read.at_ms + abs(rng.gauss(0, most_ms / 3)))
        out.append(Write(before, read.data))
    return out


def even_schedule(gap_ms: float, count: int, *, first_ms: float = 300.0) -> list[float]:
    """Return ``count`` due times at regular intervals."""
    return [first_ms + gap_ms * i for i in range(count)]


def over_long_path(near: Exchange, round_trip_ms: float) -> Exchange:
    """Return the exchange as if the path to the hop had this round-trip time."""
    stamps = near.stamps
    assert stamps.dns_ns is not None
    connect_ns = stamps.dns_ns + round(round_trip_ms * MS)
    return replace(near, stamps=replace(stamps, connect_ns=connect_ns))


def segments(reads: Iterable[Write], size: int, apart_ms: float) -> list[Write]:
    """Return the reads split into segments of ``size`` bytes that arrive ``apart_ms`` apart."""
    out: list[Write] = []
    now = 0.0
    for read in reads:
        now = max(now, read.at_ms)
        for start in range(0, len(read.data), size):
            out.append(Write(now, read.data[start : start + size]))
            now += apart_ms
        now -= apart_ms
    return out


def delayed(
    reads: Iterable[Write], rng: random.Random, least_ms: float, most_ms: float
) -> list[Write]:
    """Return the reads with TCP jitter: each read has a random delay, but the order is kept."""
    out: list[Write] = []
    now = 0.0
    for read in reads:
        now = max(now, read.at_ms + rng.uniform(least_ms, most_ms))
        out.append(Write(now, read.data))
    return merged(out)
