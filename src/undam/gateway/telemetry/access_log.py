"""One line of JSON for each request, written by a thread of its own: a full disk or a slow reader
of the pipe stops no stream, it costs lines, and how many is told.

Nothing of a prompt, an answer or a key is in a line; what a client can choose (path, model, request
id) is cut, has secrets taken out and is escaped as JSON does, so it can begin no line.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from undam.errors import UsageError
from undam.gateway.interfaces import RequestRecord
from undam.gateway.telemetry.gap_stats import GapStats
from undam.gateway.telemetry.traceparent import of_record
from undam.record.redact import redact_text

# What may wait for the disk: some 10000 lines.
_WAITING_BYTES = 4 << 20
_BATCH_S = 0.1
# A write to a pipe is whole up to this size whoever else writes (PIPE_BUF of Linux), so lines of
# several workers do not mix.
_WHOLE_BYTES = 4096
_TEXT = 512
_SHORT = 96


def entry(record: RequestRecord, gaps: GapStats) -> dict[str, Any]:
    """A line as a dictionary. Milliseconds and bytes; null for what there was none of."""
    request, upstream = record.request, record.upstream
    began_s = time.time() - time.monotonic() + record.began_at
    trace = of_record(record)
    return {
        "time": datetime.fromtimestamp(began_s, UTC).isoformat(timespec="milliseconds"),
        "request_id": request and request.request_id[:_SHORT],
        "client": request and request.client,
        "key": request and (request.key_name or None),
        "method": request and request.method[:_SHORT],
        "path": request and redact_text(request.target[:_TEXT]),
        "status": record.status or None,
        "api": request and request.api.name,
        "stream": bool(request and request.streams),
        "model": request and (redact_text(request.model[:_SHORT]) or None),
        "upstream": upstream and upstream.name,
        "ttft_ms": _ms(record.content_at and record.content_at - record.began_at),
        "gap_p99_ms": _ms(gaps.p99_s),
        "duration_ms": _ms(max(0.0, record.ended_at - record.began_at)),
        "reads": record.reads,
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "heartbeats": record.heartbeats,
        "retries": record.retries,
        "hedged": record.hedged or None,
        "ended": record.end_reason and record.end_reason.value,
        "detail": redact_text(record.detail[:_TEXT]) or None,
        "trace_id": trace and trace.trace_id,
    }


class AccessLog:
    """Takes lines at once and writes them in the order taken, a tenth of a second later.

    Args:
        path: a file to append to; ``None`` for standard output.

    Raises:
        UsageError: the file cannot be opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._fd = _open(path)
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._reopen = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def note(self, record: RequestRecord, gaps: GapStats) -> None:
        """Write the line of a record that has ended."""
        self.write(entry(record, gaps))

    def write(self, line: dict[str, Any]) -> None:
        """Take a line; dropped, and counted, where too many wait."""
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        if len(data) > _WHOLE_BYTES:
            short = {key: one[:_SHORT] if isinstance(one, str) else one
                     for key, one in line.items()}  # fmt: skip
            data = json.dumps(short, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self._waiting_bytes + len(data) > _WAITING_BYTES:
                self._dropped += 1
                return
            self._waiting_bytes += len(data)
        self._queue.put(data)

    def reopen(self) -> None:
        """Open the path anew before the next line, since somebody moved the file away."""
        self._reopen = True

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits, for so long at most, and close."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout_s)
        if not self._thread.is_alive() and self._path is not None:
            os.close(self._fd)

    def _run(self) -> None:
        going_on = True
        while going_on:
            first = self._queue.get()
            # One thread's turn for many lines: it takes the interpreter from the streams each time.
            self._closing.wait(_BATCH_S)
            lines = [] if first is None else [first]
            going_on = first is not None
            while not self._queue.empty():
                line = self._queue.get()
                if line is None:
                    going_on = False
                else:
                    lines.append(line)
            self._write_all(lines)

    def _write_all(self, lines: list[bytes]) -> None:
        if self._reopen:
            self._reopen = False
            self._open_again()
        lost = 0
        for part in _parts(lines):
            try:
                _write_whole(self._fd, b"".join(part))
            except OSError:
                lost += len(part)
        with self._lock:
            self._waiting_bytes -= sum(map(len, lines))
            self._dropped += lost
            dropped = self._dropped
        if dropped and not lost:
            with contextlib.suppress(OSError):
                told = datetime.now(UTC).isoformat(timespec="milliseconds")
                text = json.dumps({"time": told, "dropped_lines": dropped}, separators=(",", ":"))
                _write_whole(self._fd, text.encode() + b"\n")
                with self._lock:
                    self._dropped -= dropped

    def _open_again(self) -> None:
        with contextlib.suppress(UsageError):  # goes on with the old file
            fd = _open(self._path)
            if self._path is not None:
                os.close(self._fd)
            self._fd = fd


def _open(path: Path | None) -> int:
    if path is None:
        return sys.__stdout__.fileno() if sys.__stdout__ is not None else 1
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise UsageError(f"cannot write the access log {path}: {error.strerror}") from None


def _parts(lines: list[bytes]) -> list[list[bytes]]:
    parts: list[list[bytes]] = []
    size = _WHOLE_BYTES + 1
    for line in lines:
        size += len(line)
        if size > _WHOLE_BYTES:
            parts.append([])
            size = len(line)
        parts[-1].append(line)
    return parts


def _write_whole(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
