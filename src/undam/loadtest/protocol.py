"""Protocol between the coordinator and a worker: frames on the worker's two pipes. No I/O.

The coordinator writes one ``Job`` to the worker's standard input, optionally followed by a
``Start`` and a ``Stop``; closing the pipe also means ``Stop``. The worker writes ``Ready``, any
number of ``Batch`` and ``Status`` frames, and one ``FinalReport`` to its standard output; or a
``Failure`` if it cannot run at all. Both ends are the same version of this program, so the format
is private.
"""

from __future__ import annotations

import marshal
import struct
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from undam.record.request_result import ContentRead, Outcome, RequestResult

# Newer interpreters have newer formats, and the machines of a cluster may differ.
_MARSHAL_VERSION = 4
_LENGTH = struct.Struct("<I")
_MAX_FRAME_BYTES = (1 << 32) - 1

DEFAULT_BACKLOG_BYTES = 64 << 20
"""Bytes not yet judged at which a worker judges even while answers come in."""
MAX_BODY_BYTES = 64 << 20
"""Of one answer; a larger one ends with the kind ``too-large``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How to speak TLS.

    Args:
        server_name: what the certificate must bear.
        cacert, cert, insecure: as in ``wire.ClientConfig``.
    """

    server_name: str
    cacert: str | None = None
    cert: str | None = None
    insecure: bool = False


class ScheduledRequest(NamedTuple):
    """One request of an open loop.

    Attributes:
        number: its place in the plan over all workers.
        offset_ns: when it should start, from the common start.
        request: index into ``Job.requests``.
    """

    number: int
    offset_ns: int
    request: int
    warmup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoop:
    """Requests that start when they are due, whatever became of earlier ones.

    Args:
        plan: this worker's share, by ``offset_ns``.
        ahead: connections to open before the start, so that the first requests don't wait for one.
    """

    plan: tuple[ScheduledRequest, ...]
    ahead: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoop:
    """Slots that each send their next request as soon as the answer to the last is over.

    The k-th request that this worker starts has the number ``first + k * stride``, and sends
    ``requests[number % len(requests)]``. Each slot has a connection opened before the start.

    Args:
        slots: when each slot starts, from the common start; sorted.
        count: how many requests this worker starts at most; ``None`` is no bound.
        duration_ns: from the common start; none is started later, those in flight are read to
            their end. ``None`` is no bound; one of both must be given.
        warmup: this worker's first so many requests are warm-up.
        warmup_ns: requests that start earlier than so long after the start are warm-up.
    """

    slots: tuple[int, ...]
    count: int | None = None
    duration_ns: int | None = None
    first: int = 0
    stride: int = 1
    warmup: int = 0
    warmup_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that one worker does.

    Args:
        worker: its index.
        addresses: (family, sockaddr) of the target as ``socket.connect`` takes them, best first; a
            worker stays with the first that it could connect to.
        requests: whole requests, head and body, as they go over the wire.
        api: name of one of ``undam.apis``.
        load: what to send when.
        start_ns: the common start, CLOCK_REALTIME; ``None`` waits for a ``Start``.
        timeout_s: for each request, from its start to the end of its answer.
        content_path: where an event's JSON holds its text, as ``choices.0.delta.content``; only
            for the API ``plain``. ``None`` takes each event with data as content.
        keep_alive: reuse connections; without, each request has one of its own, opened as it
            starts, so its TTFT includes the connecting.
        backlog_bytes: see ``DEFAULT_BACKLOG_BYTES``.
    """

    worker: int
    addresses: tuple[tuple[int, tuple[Any, ...]], ...]
    requests: tuple[bytes, ...] = field(repr=False)
    api: str
    load: OpenLoop | ClosedLoop
    start_ns: int | None = None
    timeout_s: float = 120.0
    content_path: str | None = None
    tls: Tls | None = None
    keep_alive: bool = True
    backlog_bytes: int = DEFAULT_BACKLOG_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The common start, for a job that has none."""

    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Start nothing more, abandon what is in flight, report and end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The job is understood; what is due at the start will be sent then."""

    worker: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests that are over, in no order. Each request that was started comes exactly once."""

    worker: int
    measured: tuple[RequestResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a worker is doing; counts since its beginning, some four times a second.

    Args:
        started: requests that were begun.
        done: those whose answer is over, judged or not.
        reported: those that went out in a ``Batch``.
        late_ns: the longest that bytes had to wait for this worker since the last status.
        send_late_ns: the same for a request that was due.
        cpu_ns: processor time used.
        received_bytes: read from all connections.
        backlog_bytes: read and not yet judged.
    """

    worker: int
    at_ns: int
    started: int
    done: int
    reported: int
    late_ns: int
    send_late_ns: int
    cpu_ns: int
    received_bytes: int
    backlog_bytes: int

    @property
    def in_flight(self) -> int:
        """Requests whose answer is not over."""
        return self.started - self.done


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalReport:
    """The last frame: the sums.

    Args:
        started_ns: the common start as this worker used it.
        ended_ns: when the last answer was over or given up.
        unstarted: requests of the plan (or of ``count``) that a ``Stop`` left out.
        stopped: a ``Stop`` ended the run.
        connections: opened in all.
        resent: requests sent again on a new connection, since the server had closed the kept one
            before any byte of an answer.
        cpu_ns: processor time from the start to the end of the last answer.
        judging_ns: processor time after that, for what was not judged in idle moments.
        step_ns: how far CLOCK_REALTIME was set in between; figures that span it are wrong.
        judged_busy: how often something was judged though answers were there to be read, since
            the backlog was full.
        sleep_ns: time in which this worker had nothing to do.
    """

    worker: int
    started_ns: int
    ended_ns: int
    started: int
    unstarted: int
    stopped: bool
    connections: int
    resent: int
    cpu_ns: int
    step_ns: int
    judged_busy: int
    sleep_ns: int
    received_bytes: int
    analysis_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The worker could not run; one line says why.

    Args:
        usage: what the user asked for is at fault.
    """

    worker: int
    message: str
    usage: bool = True


Frame = Job | Start | Stop | Ready | Batch | Status | FinalReport | Failure

_KINDS: tuple[type[Any], ...] = (Job, Start, Stop, Ready, Batch, Status, FinalReport, Failure)


def encode(frame: Frame) -> bytes:
    """A frame as bytes: its length (4 bytes, little-endian), then its content.

    Raises:
        ValueError: it is larger than 4 GB.
    """
    if isinstance(frame, Job):
        # The family is an enumeration as a rule, and marshal takes plain numbers only.
        plain = tuple((int(family), tuple(to)) for family, to in frame.addresses)
        frame = replace(frame, addresses=plain)
    values = [_plain(getattr(frame, name)) for name in _NAMES[type(frame)]]
    if isinstance(frame, Batch):
        values = [frame.worker, [_flat(one) for one in frame.measured]]
    data = marshal.dumps([_KINDS.index(type(frame)), *values], _MARSHAL_VERSION)
    if len(data) > _MAX_FRAME_BYTES:
        raise ValueError("a frame is larger than 4 GB")
    return _LENGTH.pack(len(data)) + data


class FrameReader:
    """Turn reads of a pipe into frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def receive_data(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes."""
        self._held += data
        frames: list[Frame] = []
        at = 0
        while len(self._held) - at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._held, at)
            begin = at + _LENGTH.size
            if len(self._held) - begin < size:
                break
            at = begin + size
            frames.append(_decode(memoryview(self._held)[begin:at].tobytes()))
        del self._held[:at]
        return frames

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame whose end has not come; at the end of the pipe it was cut."""
        return len(self._held)


def _decode(data: bytes) -> Frame:
    # Both ends of the pipe are this program; nothing else can write to it.
    kind, *values = marshal.loads(data)  # noqa: S302
    cls = _KINDS[kind]
    if cls is Batch:
        worker, rows = values
        return Batch(worker=worker, measured=tuple(map(_measured, rows)))
    frame: Frame = cls(**dict(zip(_NAMES[cls], values, strict=True)))
    return _job(frame) if isinstance(frame, Job) else frame


def _plain(value: object) -> object:
    """A value without classes of ours."""
    if isinstance(value, OpenLoop):
        return ("open", tuple(map(tuple, value.plan)), value.ahead)
    if isinstance(value, ClosedLoop):
        return ("closed", *(getattr(value, name) for name in _NAMES[ClosedLoop]))
    if isinstance(value, Tls):
        return tuple(getattr(value, name) for name in _NAMES[Tls])
    return value


def _job(job: Job) -> Job:
    """The job with its classes again."""
    values = {name: getattr(job, name) for name in _NAMES[Job]}
    form, *rest = values["load"]
    if form == "open":
        values["load"] = OpenLoop(plan=tuple(map(ScheduledRequest._make, rest[0])), ahead=rest[1])
    else:
        values["load"] = ClosedLoop(**dict(zip(_NAMES[ClosedLoop], rest, strict=True)))
    if job.tls is not None:
        values["tls"] = Tls(**dict(zip(_NAMES[Tls], values["tls"], strict=True)))
    return Job(**values)


def _flat(one: RequestResult) -> tuple[object, ...]:
    numbers = array("q", [number for read in one.reads for number in read])
    if sys.byteorder == "big":
        numbers.byteswap()
    values = [getattr(one, name) for name in _MEASURED_NAMES]
    return (numbers.tobytes(), one.outcome.value, *values)


def _measured(row: tuple[Any, ...]) -> RequestResult:
    packed, outcome, *values = row
    numbers = array("q", packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    every = iter(numbers)
    make: Callable[[tuple[int, ...]], ContentRead] = ContentRead._make
    reads = tuple(map(make, zip(every, every, every, every, strict=True)))
    named = dict(zip(_MEASURED_NAMES, values, strict=True))
    return RequestResult(reads=reads, outcome=Outcome(outcome), **named)


_NAMES: dict[type[Any], tuple[str, ...]] = {
    cls: tuple(one.name for one in fields(cls)) for cls in (*_KINDS, OpenLoop, ClosedLoop, Tls)
}
_MEASURED_NAMES = tuple(
    one.name for one in fields(RequestResult) if one.name not in {"reads", "outcome"}
)
