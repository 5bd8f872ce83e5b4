"""Execution of `undam tap`: read capture files or capture live, and show progress."""

from __future__ import annotations

import contextlib
import gc
import heapq
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import BinaryIO, Protocol

from undam.cli.commands.tap.live_table import live_table
from undam.errors import UsageError
from undam.tap.capture.capture_file import CaptureReader, Packet
from undam.tap.capture.compressed import readable_capture
from undam.tap.capture.live import LiveCapture
from undam.tap.capture.redacted_capture import RedactedCapture
from undam.tap.clocks import FileOffset, offset_between, times_of
from undam.tap.kept_streams import StreamFile
from undam.tap.processes import processes_of
from undam.tap.session import TapSession
from undam.tap.tls import KeyLog

_POLL_S = 0.2
_UPDATE_S = 1.0
_UPDATE_PACKETS = 100_000
_ALLOCATIONS = 50_000
"""New objects between two runs of the garbage collector."""


@dataclass
class TapRun:
    """A finished `undam tap` run.

    Args:
        source: what was captured or read, for the report.
        problems: why a file was not read to its end.
        offsets: clock offsets of further files relative to the first one.
    """

    session: TapSession
    source: str
    problems: list[str] = field(default_factory=list)
    offsets: dict[str, FileOffset] = field(default_factory=dict)
    is_live: bool = False


@dataclass(frozen=True)
class TapOptions:
    """Sources, filters and limits of one capture or analysis.

    Args:
        interfaces: where to capture; everywhere if empty.
        files: captures to read instead.
        duration: seconds after which a live capture ends; ``None`` means with Ctrl-C.
        keylog: file with TLS secrets.
    """

    interfaces: Sequence[str] = ()
    files: Sequence[str] = ()
    ports: Sequence[int] = ()
    duration: float | None = None
    max_streams: int = 100_000
    keylog: str | None = None


class CaptureDisplay(Protocol):
    """Display that is updated while the capture runs."""

    def update(self, session: TapSession) -> None:
        """Show the results so far."""
        ...


def run_tap(
    options: TapOptions, write_to: str | None = None, *, keep_bodies: bool = False
) -> TapRun:
    """Capture live or read the files until the end, and return the analysis.

    Args:
        write_to: file for the captured streams.
        keep_bodies: write the packets themselves, with secrets redacted; otherwise the streams with
            placeholders instead of their text.

    Raises:
        UsageError: nothing can be captured or read.
    """
    keys = None if options.keylog is None else _read_keys(options.keylog)
    with _opened(write_to) as file, live_table() as view, _rare_collections():
        writer = RedactedCapture(file) if file is not None and keep_bodies else None
        kept = StreamFile(file) if file is not None and not keep_bodies else None
        session = TapSession(options.ports, max_streams=options.max_streams, keys=keys, file=kept)
        if options.files:
            run = TapRun(session, ", ".join(options.files))
            _read_files(run, options.files, writer, view)
        else:
            where = ", ".join(options.interfaces) or "all interfaces"
            run = TapRun(session, f"live on {where}", is_live=True)
            _capture(run, options, writer, view)
        session.finish()
    if run.is_live:
        for address, name in processes_of(session.proxies).items():
            session.proxies[address].process = name
    return run


@contextmanager
def _opened(path: str | None) -> Iterator[BinaryIO | None]:
    if path is None:
        yield None
        return
    with Path(path).open("wb") as file:
        yield file


def _read_files(
    run: TapRun, files: Sequence[str], writer: RedactedCapture | None, view: CaptureDisplay
) -> None:
    """Read the capture files, and convert all times to the clock of the first file.

    Files without a common connection are read as well, but are not compared with each other.
    """
    run.offsets = _offsets(files)
    for number, name in enumerate(files):
        if number and name not in run.offsets:
            run.problems.append(
                f"{name}: no connection is in {files[0]} as well, so the clocks cannot be compared;"
                f" holds between these two files are not computed"
            )
    related = [name for name in files if name == files[0] or name in run.offsets]
    _read_related(run, related, writer, view)
    for name in files:
        if name not in related:
            run.session.separate()
            _read_related(run, [name], writer, view)
    if not run.session.stats.packets and run.problems:
        raise UsageError(run.problems[0])


def _read_related(
    run: TapRun, files: Sequence[str], writer: RedactedCapture | None, view: CaptureDisplay
) -> None:
    session = run.session
    with ExitStack() as stack:
        readers = [CaptureReader(_open(name, stack), name) for name in files]
        streams = [
            _shifted(reader, run.offsets.get(name))
            for reader, name in zip(readers, files, strict=True)
        ]
        packets = heapq.merge(*streams, key=_time) if len(streams) > 1 else streams[0]
        for packet in packets:
            session.receive_packet(packet)
            if writer is not None:
                writer.write(packet)
            if session.stats.packets % _UPDATE_PACKETS == 0:
                view.update(session)
        run.problems += [one.problem for one in readers if one.problem is not None]


def _offsets(files: Sequence[str]) -> dict[str, FileOffset]:
    """Return the clock offset of each later file that shares a connection with the first file."""
    if len(files) < 2 or "-" in files:
        return {}
    times = []
    for name in files:
        with ExitStack() as stack:
            times.append(times_of(CaptureReader(_open(name, stack), name)))
    found = {
        name: offset_between(times[0], one) for name, one in zip(files[1:], times[1:], strict=True)
    }
    return {name: offset for name, offset in found.items() if offset is not None}


def _shifted(packets: Iterable[Packet], offset: FileOffset | None) -> Iterator[Packet]:
    if offset is None:
        yield from packets
        return
    for packet in packets:
        yield packet._replace(at_ns=packet.at_ns - offset.offset_ns)


def _read_keys(path: str) -> KeyLog:
    try:
        with Path(path).open(encoding="ascii", errors="replace") as file:
            return KeyLog(file, path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None


def _time(packet: Packet) -> int:
    return packet.at_ns


def _open(name: str, stack: ExitStack) -> BinaryIO:
    if name == "-":
        return readable_capture(sys.stdin.buffer)
    try:
        return readable_capture(stack.enter_context(Path(name).open("rb")))
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror or error}") from None


def _capture(
    run: TapRun, options: TapOptions, writer: RedactedCapture | None, view: CaptureDisplay
) -> None:
    capture = LiveCapture(options.interfaces, options.ports)
    session = run.session
    session.between = capture.save_blocks
    end = None if options.duration is None else time.monotonic() + options.duration
    shown = time.monotonic()
    with contextlib.closing(capture), _stop_signals() as stopped:
        is_last = False
        while not is_last:
            # After a signal, still read the packets that the kernel has already captured.
            is_last = bool(stopped) or (end is not None and time.monotonic() >= end)
            for packet in capture.packets(_POLL_S):
                session.receive_packet(packet)
                if writer is not None:
                    writer.write(packet)
            if time.monotonic() - shown > _UPDATE_S:
                shown = time.monotonic()
                session.analyze_old()
                session.stats.dropped = capture.count_drops()
                view.update(session)
        session.stats.dropped = capture.count_drops()
        session.between = _nothing


def _nothing() -> None:
    """Do nothing; this replaces `LiveCapture.save_blocks` after the end of the capture."""


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Run the garbage collector less often inside the ``with`` block.

    A run allocates an object per packet but creates few reference cycles. With its default
    threshold, the collector takes a tenth of the time.
    """
    before = gc.get_threshold()
    gc.set_threshold(_ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Yield a list of received SIGINT and SIGTERM signals, which end only the capture.

    Results are printed after the end of the capture, and a second signal ends the program.
    """
    stopped: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)
        for one, handler in before.items():
            signal.signal(one, handler)

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
