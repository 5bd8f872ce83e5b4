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

from undam import work_budget
from undam.record.request_result import ContentRead, IntegrityCounts, Outcome, RequestResult

# The marshal format is fixed, because the machines of a cluster may run different Python versions.
_MARSHAL_VERSION = 4
_LENGTH = struct.Struct("<I")
_MAX_FRAME_BYTES = (1 << 32) - 1

DEFAULT_BACKLOG_BYTES = 64 << 20
"""Backlog of unanalyzed bytes above which a worker analyzes even while responses arrive."""
MAX_BODY_BYTES = 64 << 20
"""Size limit of one response; a larger one fails with the kind ``too-large``.

An answer of 128,000 tokens has about 40 MB."""
MAX_DOCUMENT_BYTES = work_budget.MAX_BODY_BYTES
"""Size limit of a response that is one document, which is kept in memory until it is complete."""
MAX_EVENTS = 1 << 18
"""Maximum number of events and comments in one response.

A load test analyzes most events without parsing them, so it accepts longer answers than `check`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS settings of a job.

    Args:
        server_name: the name that the certificate must match.
        cacert, cert, insecure: as in ``wire.ClientConfig``.
    """

    server_name: str
    cacert: str | None = None
    cert: str | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Http2Settings:
    """HTTP/2 settings of a job.

    Args:
        fields: pseudo-header and header fields of each request. The worker adds Content-Length.
        streams: maximum number of open streams per connection.
    """

    fields: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    streams: int


class ScheduledRequest(NamedTuple):
    """One request of an open loop.

    Attributes:
        number: index of the request in the schedule of all workers.
        offset_ns: intended start, relative to the common start.
        request: index into ``Job.requests``.
    """

    number: int
    offset_ns: int
    request: int
    warmup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoop:
    """Requests that start at fixed times, regardless of earlier responses.

    Args:
        plan: this worker's share of the schedule, sorted by ``offset_ns``.
        ahead: connections to open before the start, so that the first requests find one ready.
        most: maximum number of requests in flight; requests that are due wait until one ends.
    """

    plan: tuple[ScheduledRequest, ...]
    ahead: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoop:
    """Slots that each send their next request as soon as the previous response has ended.

    The k-th request that this worker starts has the number ``first + k * stride`` and sends
    ``requests[number % len(requests)]``. One connection per slot is opened before the start.

    Args:
        slots: first start of each slot, relative to the common start; sorted.
        count: maximum number of requests of this worker; ``None`` means no limit.
        duration_ns: no request starts later than this after the common start; requests in flight
            are read to their end. ``None`` means no limit. ``count`` or ``duration_ns`` is set.
        warmup: number of warm-up requests; they are the first ones.
        warmup_ns: requests that start earlier than this after the common start are warm-up.
        sessions: (first, count) of the requests of each conversation. Each slot sends the requests
            of one conversation in their order, then those of the next one. Without it, requests
            are sent in the order of their numbers.
        pauses_ns: pause of a slot after each response, repeated as needed; empty without pauses.
    """

    slots: tuple[int, ...]
    count: int | None = None
    duration_ns: int | None = None
    first: int = 0
    stride: int = 1
    warmup: int = 0
    warmup_ns: int = 0
    sessions: tuple[tuple[int, int], ...] = ()
    pauses_ns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything one worker needs for its part of a load test.

    Args:
        worker: index of the worker.
        addresses: (family, sockaddr) of the target as ``socket.connect`` takes them, best first. A
            worker keeps using the first address that accepted a connection.
        requests: complete requests, head and body, as sent on the wire; with ``http2``, the bodies.
        marks: position of the placeholder in each of ``requests``, or -1; see `setup.unique`.
        run: number of this run, which is part of each mark.
        api: name of one of ``undam.apis``.
        load: which requests to send when.
        start_ns: the common start on CLOCK_REALTIME; ``None`` waits for a ``Start``.
        timeout_s: limit for each request, from its start to the end of the response.
        content_path: path of the text in an event's JSON, for example ``choices.0.delta.content``;
            only for the API ``plain``. With ``None``, each event with data is content.
        http2: settings of HTTP/2; ``None`` for HTTP/1.1.
        keep_alive: reuse connections. Otherwise each request opens its own connection when it
            starts, and its TTFT includes the connection setup.
        backlog_bytes: see ``DEFAULT_BACKLOG_BYTES``.
        cancel_ns: time after its start at which this client cancels a request, by request number,
            repeated as needed; -1 means never.
        streams: whether responses are streams. Otherwise each is one JSON document.
    """

    worker: int
    addresses: tuple[tuple[int, tuple[Any, ...]], ...]
    requests: tuple[bytes, ...] = field(repr=False)
    api: str
    load: OpenLoop | ClosedLoop
    marks: tuple[int, ...] = ()
    run: int = 0
    start_ns: int | None = None
    timeout_s: float = 120.0
    content_path: str | None = None
    tls: Tls | None = None
    http2: Http2Settings | None = None
    keep_alive: bool = True
    backlog_bytes: int = DEFAULT_BACKLOG_BYTES
    cancel_ns: tuple[int, ...] = ()
    streams: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Command to start at a common time, for a job without ``start_ns``."""

    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Command to start no more requests, abandon requests in flight, report and exit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Report that the worker has read its job and is ready to start."""

    worker: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Results of finished requests, in no particular order.

    Each started request is reported exactly once.
    """

    worker: int
    measured: tuple[RequestResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Progress of a worker, sent about four times per second; counts are cumulative.

    Args:
        started: requests started.
        done: requests whose response has ended, analyzed or not.
        reported: requests sent in a ``Batch``.
        late_ns: longest time that received bytes waited to be read since the last status.
        send_late_ns: longest delay of a due request since the last status.
        cpu_ns: CPU time used.
        received_bytes: bytes read from all connections.
        backlog_bytes: bytes read and not yet analyzed.
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
        """Number of requests whose response has not ended."""
        return self.started - self.done


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalReport:
    """Last frame of a worker, with the totals of its run.

    Args:
        started_ns: the common start that this worker used.
        ended_ns: when the last response ended or was abandoned.
        unstarted: requests of the plan (or of ``count``) that a ``Stop`` left out.
        stopped: whether a ``Stop`` ended the run.
        connections: number of connections opened.
        resent: requests sent again on a new connection because the server had closed the kept
            connection before the first byte of a response.
        cpu_ns: CPU time from the start to the end of the last response.
        analysis_ns: CPU time after that, for responses that were not analyzed while idle.
        step_ns: how far CLOCK_REALTIME was stepped during the run; times across it are wrong.
        sleep_ns: time in which this worker was idle.
        refused_streams: streams that the server refused (RST_STREAM REFUSED_STREAM, or GOAWAY with
            a lower stream number). Each request is sent again once.
        goaways: number of connections on which the server sent GOAWAY.
        stream_limit: the lowest number of streams per connection that the server allowed, if it is
            lower than ``Http2Settings.streams``; otherwise 0.
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
    sleep_ns: int
    received_bytes: int
    analysis_ns: int = 0
    refused_streams: int = 0
    goaways: int = 0
    stream_limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Report that the worker could not run.

    Args:
        message: the reason, in one line.
        usage: whether the options are the cause.
    """

    worker: int
    message: str
    usage: bool = True


Frame = Job | Start | Stop | Ready | Batch | Status | FinalReport | Failure

_KINDS: tuple[type[Any], ...] = (Job, Start, Stop, Ready, Batch, Status, FinalReport, Failure)


def encode(frame: Frame) -> bytes:
    """Encode a frame: its length (4 bytes, little-endian), then its content.

    Raises:
        ValueError: the frame is larger than 4 GB.
    """
    if isinstance(frame, Job):
        # The address family is usually an IntEnum, but marshal accepts only plain integers.
        plain = tuple((int(family), tuple(to)) for family, to in frame.addresses)
        frame = replace(frame, addresses=plain)
    values = [_plain(getattr(frame, name)) for name in _NAMES[type(frame)]]
    if isinstance(frame, Batch):
        values = [frame.worker, [_pack_result(result) for result in frame.measured]]
    return pack_values([_KINDS.index(type(frame)), *values])


def pack_values(values: list[object]) -> bytes:
    """Encode a frame from built-in values.

    Raises:
        ValueError: the frame is larger than 4 GB.
    """
    data = marshal.dumps(values, _MARSHAL_VERSION)
    if len(data) > _MAX_FRAME_BYTES:
        raise ValueError("frame is larger than 4 GB")
    return _LENGTH.pack(len(data)) + data


def unpack_values(frame: bytes) -> list[object]:
    """Return the values of a frame that this process has encoded."""
    values = marshal.loads(frame[_LENGTH.size :])  # noqa: S302 (see _decode)
    assert isinstance(values, list)
    return values


class FrameReader:
    """Decoder for frames that are read from a pipe."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive_data(self, data: bytes) -> list[Frame]:
        """Return the frames that ``data`` completes."""
        self._buffer += data
        frames: list[Frame] = []
        at = 0
        while len(self._buffer) - at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer, at)
            begin = at + _LENGTH.size
            if len(self._buffer) - begin < size:
                break
            at = begin + size
            frames.append(_decode(memoryview(self._buffer)[begin:at].tobytes()))
        del self._buffer[:at]
        return frames

    @property
    def pending_bytes(self) -> int:
        """Number of bytes of an incomplete frame; at the end of the pipe, that frame is lost."""
        return len(self._buffer)


def _decode(data: bytes) -> Frame:
    # marshal is safe here, because undam runs at both ends of the pipe.
    kind, *values = marshal.loads(data)  # noqa: S302
    cls = _KINDS[kind]
    if cls is Batch:
        worker, rows = values
        return Batch(worker=worker, measured=tuple(map(_unpack_result, rows)))
    frame: Frame = cls(**dict(zip(_NAMES[cls], values, strict=True)))
    return _restore_job(frame) if isinstance(frame, Job) else frame


def _plain(value: object) -> object:
    """Convert a value to built-in types, because marshal supports no others."""
    if isinstance(value, OpenLoop):
        return ("open", tuple(map(tuple, value.plan)), value.ahead, value.most)
    if isinstance(value, ClosedLoop):
        return ("closed", *(getattr(value, name) for name in _NAMES[ClosedLoop]))
    if isinstance(value, Tls | Http2Settings):
        return tuple(getattr(value, name) for name in _NAMES[type(value)])
    return value


def _restore_job(job: Job) -> Job:
    """Restore the types of a job's fields that ``_plain`` has converted."""
    values = {name: getattr(job, name) for name in _NAMES[Job]}
    form, *rest = values["load"]
    if form == "open":
        plan = tuple(map(ScheduledRequest._make, rest[0]))
        values["load"] = OpenLoop(plan=plan, ahead=rest[1], most=rest[2])
    else:
        values["load"] = ClosedLoop(**dict(zip(_NAMES[ClosedLoop], rest, strict=True)))
    if job.tls is not None:
        values["tls"] = Tls(**dict(zip(_NAMES[Tls], values["tls"], strict=True)))
    if job.http2 is not None:
        row = zip(_NAMES[Http2Settings], values["http2"], strict=True)
        values["http2"] = Http2Settings(**dict(row))
    return Job(**values)


def _pack_result(result: RequestResult) -> tuple[object, ...]:
    numbers = array("q", [number for read in result.reads for number in read])
    if sys.byteorder == "big":
        numbers.byteswap()
    values = [getattr(result, name) for name in _RESULT_NAMES]
    integrity = None if result.integrity is None else tuple(result.integrity)
    return (numbers.tobytes(), result.outcome.value, integrity, *values)


def _unpack_result(row: tuple[Any, ...]) -> RequestResult:
    packed, outcome, integrity, *values = row
    numbers = array("q", packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    every = iter(numbers)
    make: Callable[[tuple[int, ...]], ContentRead] = ContentRead._make
    reads = tuple(map(make, zip(every, every, every, every, strict=True)))
    named = dict(zip(_RESULT_NAMES, values, strict=True))
    if integrity is not None:
        named["integrity"] = IntegrityCounts._make(integrity)
    return RequestResult(reads=reads, outcome=Outcome(outcome), **named)


_NAMES: dict[type[Any], tuple[str, ...]] = {
    cls: tuple(spec.name for spec in fields(cls))
    for cls in (*_KINDS, OpenLoop, ClosedLoop, Tls, Http2Settings)
}
_RESULT_NAMES = tuple(
    spec.name
    for spec in fields(RequestResult)
    if spec.name not in {"reads", "outcome", "integrity"}
)
