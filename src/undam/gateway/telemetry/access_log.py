"""Access log: one JSON line per request, written by a separate thread.

Logging never blocks a stream. If the disk is full or the reader of a pipe is slow, lines are
dropped, and their number is logged.

Lines contain no prompts, responses or keys. Values that a client chooses (path, model, request ID)
are truncated, redacted and escaped as JSON, so that they cannot start a new line.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from undam.errors import UsageError
from undam.gateway.interfaces import EndedAttempt, RequestRecord
from undam.gateway.telemetry.gap_stats import GapStats
from undam.gateway.telemetry.traceparent import from_record
from undam.secrecy import redact_text

# Maximum size of the buffer, about 10,000 lines.
_BUFFER_BYTES = 4 << 20
_BATCH_S = 0.1
# Writes to a pipe are atomic up to this size (PIPE_BUF on Linux), so that the lines of several
# workers are not interleaved.
_ATOMIC_BYTES = 4096
_TEXT_CHARS = 512
_SHORT_CHARS = 96
_MAX_ATTEMPTS = 8


def entry(record: RequestRecord, gaps: GapStats) -> dict[str, Any]:
    """Return a log line as a dictionary. Values that do not apply are ``None``."""
    request, upstream = record.request, record.upstream
    began_s = time.time() - time.monotonic() + record.started_at
    trace = from_record(record)
    return {
        "time": datetime.fromtimestamp(began_s, UTC).isoformat(timespec="milliseconds"),
        "request_id": request and request.request_id[:_SHORT_CHARS],
        "client": request and request.client,
        "key": request and (request.key_name or None),
        "method": request and (request.method[:_SHORT_CHARS] or None),
        "path": request and (redact_text(request.target[:_TEXT_CHARS]) or None),
        "status": record.status or None,
        "api": request and request.api.name,
        "stream": bool(request and request.streams),
        "model": request and (redact_text(request.model[:_SHORT_CHARS]) or None),
        "upstream": upstream and upstream.name,
        "upstream_status": _upstream_status(record),
        "attempts": _attempts(record.attempts) if len(record.attempts) > 1 else None,
        "queued_ms": _ms(record.queued_s or None),
        "ttft_ms": _ms(record.content_at and record.content_at - record.started_at),
        "gap_p99_ms": _ms(gaps.p99_s),
        "duration_ms": _ms(max(0.0, record.ended_at - record.started_at)),
        "reads": record.reads,
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "heartbeats": record.heartbeats,
        "retries": record.retries,
        "hedged": record.hedged or None,
        "ended": record.end_reason and record.end_reason.value,
        "detail": redact_text(record.detail[:_TEXT_CHARS]) or None,
        "trace_id": trace and trace.trace_id,
    }


def _upstream_status(record: RequestRecord) -> int | None:
    """Return the status of the last attempt at the upstream whose response was used."""
    for attempt in reversed(record.attempts):
        if attempt.upstream is record.upstream:
            return attempt.status or None
    return None


def _attempts(attempts: Sequence[EndedAttempt]) -> list[dict[str, Any]]:
    """Return the attempts of a request that was sent more than once."""
    return [
        {
            "upstream": one.upstream.name[:_SHORT_CHARS],
            "result": one.result.value,
            "status": one.status or None,
            "ms": _ms(one.duration_s),
        }
        for one in attempts[:_MAX_ATTEMPTS]
    ]


class AccessLog:
    """Buffered log. Lines are written in order, about 0.1 s after they are added.

    Args:
        path: the file to append to; ``None`` for standard output.

    Raises:
        UsageError: the file cannot be opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._fd = _open(path)
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._buffered_bytes = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._reopen = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def log(self, record: RequestRecord, gaps: GapStats) -> None:
        """Write the log line for a request that has ended."""
        self.write(entry(record, gaps))

    def write(self, line: dict[str, Any]) -> None:
        """Buffer a line. If the buffer is full, drop the line and count it."""
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        if len(data) > _ATOMIC_BYTES:
            short = {key: one[:_SHORT_CHARS] if isinstance(one, str) else one
                     for key, one in line.items()}  # fmt: skip
            data = json.dumps(short, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self._buffered_bytes + len(data) > _BUFFER_BYTES:
                self._dropped += 1
                return
            self._buffered_bytes += len(data)
        self._queue.put(data)

    def reopen(self) -> None:
        """Reopen the file before the next line, for log rotation."""
        self._reopen = True

    def close(self, timeout_s: float = 2.0) -> None:
        """Write the buffered lines, for at most ``timeout_s``, and close the file."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout_s)
        if not self._thread.is_alive() and self._path is not None:
            os.close(self._fd)

    def _run(self) -> None:
        running = True
        while running:
            first = self._queue.get()
            # Lines are written in batches, because this thread competes with the streams for the
            # GIL.
            self._closing.wait(_BATCH_S)
            lines = [] if first is None else [first]
            running = first is not None
            while not self._queue.empty():
                line = self._queue.get()
                if line is None:
                    running = False
                else:
                    lines.append(line)
            self._write_all(lines)

    def _write_all(self, lines: list[bytes]) -> None:
        if self._reopen:
            self._reopen = False
            self._reopen_file()
        lost = 0
        for batch in _batches(lines):
            try:
                _write_fully(self._fd, b"".join(batch))
            except OSError:
                lost += len(batch)
        with self._lock:
            self._buffered_bytes -= sum(map(len, lines))
            self._dropped += lost
            dropped = self._dropped
        if dropped and not lost:
            with contextlib.suppress(OSError):
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                text = json.dumps({"time": now, "dropped_lines": dropped}, separators=(",", ":"))
                _write_fully(self._fd, text.encode() + b"\n")
                with self._lock:
                    self._dropped -= dropped

    def _reopen_file(self) -> None:
        with contextlib.suppress(UsageError):  # On failure, the old file remains in use.
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


def _batches(lines: list[bytes]) -> list[list[bytes]]:
    """Split lines into batches of at most `_ATOMIC_BYTES`."""
    batches: list[list[bytes]] = []
    size = _ATOMIC_BYTES + 1
    for line in lines:
        size += len(line)
        if size > _ATOMIC_BYTES:
            batches.append([])
            size = len(line)
        batches[-1].append(line)
    return batches


def _write_fully(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
