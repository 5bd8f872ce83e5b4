"""Model of a load test with a known server, hop and load generator, without clock and sockets."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from undam.metrics import LoadGeneratorStats, summarize
from undam.record import ContentRead, Outcome, RequestResult
from undam.rules import Finding

MS = 1_000_000
START_NS = 1_800_000_000 * 1000 * MS

# Slack and lateness of reads by a load generator that is not busy.
_SLACK_NS, _LATE_NS = 50_000, 20_000

Gap = Callable[[random.Random], float]
"""Random duration in ms."""


@dataclass(frozen=True)
class LoadTestModel:
    """Closed-loop load test; times are in ms.

    Args:
        per_write: number of events that the hop sends together.
        block_bytes: size of a buffer in the hop; 0 means none.
        stall_ms: length of a pause in the middle of each response; 0 means none.
        starved_ms: polling interval of a starved load generator; 0 means on time.
        sent_late_ms: delay of each request.
        shift: factor for all times of the server.
    """

    requests: int
    concurrency: int = 10
    events: Callable[[random.Random], int] = lambda _: 64
    ttft: Gap = lambda rng: 200 * rng.lognormvariate(0, 0.3)
    gap: Gap = lambda rng: 20 * rng.uniform(0.7, 1.3)
    event_bytes: Callable[[random.Random], int] = lambda _: 200
    per_write: int = 1
    block_bytes: int = 0
    stall_ms: float = 0
    starved_ms: float = 0
    sent_late_ms: float = 0.03
    failing: Mapping[int, Outcome] | None = None
    heartbeats: int = 0
    seed: int = 0
    shift: float = 1.0

    def measured(self) -> Iterator[RequestResult]:
        """Yield the requests in the order in which they are planned."""
        rng = random.Random(self.seed)
        slots = [START_NS + i * 5 * MS for i in range(self.concurrency)]
        for number in range(self.requests):
            slot = min(range(len(slots)), key=slots.__getitem__)
            one = self._one(number, slots[slot], rng)
            slots[slot] = one.ended_ns + MS // 10
            yield one

    def _one(self, number: int, intended_ns: int, rng: random.Random) -> RequestResult:
        started = intended_ns + round(self.sent_late_ms * MS)
        sent, sizes = self._sent(started, rng)
        reads = self._read(self._handed_on(sent, sizes))
        outcome = (self.failing or {}).get(number, Outcome.COMPLETE)
        failed = outcome is not Outcome.COMPLETE
        return RequestResult(
            number=number,
            worker=number % 2,
            intended_ns=intended_ns,
            started_ns=started,
            head_ns=started + MS,
            ended_ns=(reads[-1].at_ns if reads else started) + MS // 10,
            outcome=outcome,
            status=200,
            kind="reset" if failed else "",
            message="reset by the peer" if failed else "",
            reads=tuple(reads),
            tokens=None if failed else len(sent),
            empties=2,
            heartbeats=self.heartbeats,
            body_bytes=sum(sizes) + 2 * 200 + 14,
        )

    def _sent(self, started_ns: int, rng: random.Random) -> tuple[list[int], list[int]]:
        """Return the send times and the sizes of the server's events."""
        count = self.events(rng)
        at = started_ns + round(self.ttft(rng) * self.shift * MS)
        times = []
        for i in range(count):
            if i:
                gap = self.stall_ms if self.stall_ms and i == count // 2 else self.gap(rng)
                at += round(gap * self.shift * MS)
            times.append(at)
        return times, [self.event_bytes(rng) for _ in range(count)]

    def _handed_on(self, sent: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, int]]:
        """Return (time, number of events) for each write by the hop."""
        if self.block_bytes:
            return self._in_blocks(sent, sizes)
        writes = [sent[i : i + self.per_write] for i in range(0, len(sent), self.per_write)]
        return [(write[-1], len(write)) for write in writes]

    def _in_blocks(self, sent: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, int]]:
        writes, filled, released, pending = [], 200, 0, 0  # The role chunk.
        for at, size in zip(sent, sizes, strict=True):
            filled += size
            pending += 1
            if filled - released >= self.block_bytes:
                released += self.block_bytes * ((filled - released) // self.block_bytes)
                whole = pending - (filled > released)
                writes.append((at, whole))
                pending -= whole
        writes.append((sent[-1], pending))
        return [(at, n) for at, n in writes if n]

    def _read(self, writes: Sequence[tuple[int, int]]) -> list[ContentRead]:
        if not self.starved_ms:
            return [ContentRead(at, _SLACK_NS, _LATE_NS, n) for at, n in writes]
        step, reads = round(self.starved_ms * MS), list[ContentRead]()
        for at, n in writes:
            looked = -(-at // step) * step
            same = reads and reads[-1].at_ns + reads[-1].late_ns == looked
            earlier = reads.pop().events if same else 0
            reads.append(ContentRead(at, at - (looked - step), looked - at, n + earlier))
        return reads


def simulate(requests: int, **settings: object) -> list[RequestResult]:
    """Return the requests from a `LoadTestModel` with these settings."""
    return list(replace(LoadTestModel(requests), **settings).measured())  # type: ignore[arg-type]


def findings(
    measured: Sequence[RequestResult], client: LoadGeneratorStats | None = None
) -> list[Finding]:
    """Return the findings for a run."""
    return summarize(measured).findings(client)
