"""Distributions of a run, in the form of an HdrHistogram log.

The log has format 1.3 and one tagged line per distribution. Values are nanoseconds with three
digits, so each is at most 0.1 % off and none is dropped. The payload is V2, compressed, in base64.
Source: HdrHistogram's HistogramLogWriter and AbstractHistogram.encodeIntoCompressedByteBuffer.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from struct import pack

from undam.metrics.summary import TIMES, Summary
from undam.timing import Histogram

_DIGITS, _BITS = 3, 11
# One hour. Readers allocate this range. Logs can be added up because all have the same range.
_MIN_RANGE_NS = 3_600_000_000_000
_ENCODING_COOKIE = 0x1C849303 | 0x10
_COMPRESSION_COOKIE = 0x1C849304 | 0x10
_MAX_VARINT_BYTES = 9


def hlog_lines(summary: Summary) -> Iterator[str]:
    """Yield the lines of the log, each with its newline. Empty distributions are omitted."""
    start_s = (summary.first_ns or 0) / 1e9
    day = datetime.fromtimestamp(start_s, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    yield "#[Logged by undam bench; values are nanoseconds, Interval_Max is in milliseconds]\n"
    yield "#[Histogram log format version 1.3]\n"
    yield f"#[StartTime: {start_s:.3f} (seconds since epoch), {day}]\n"
    yield '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    length = summary.duration_ns / 1e9
    for name in TIMES:
        times = summary.times(name)
        if times.max is not None:
            max_ms = times.max / 1e6
            payload = hdr_payload(times)
            yield f"Tag={name},{start_s:.3f},{length:.3f},{max_ms:.3f},{payload}\n"


def hdr_payload(times: Histogram) -> str:
    """Return the histogram in HdrHistogram's compressed V2 form, in base64.

    With 11 bits, bucket indices equal those of an HdrHistogram with three digits.
    """
    coarse = times.coarser(_BITS)
    counts = bytearray()
    at = 0
    for index, n in coarse.indices():
        if index > at:
            # Several empty buckets are encoded as one negative number, a single one as zero.
            counts += _varint(at - index if index - at > 1 else 0)
        counts += _varint(n)
        at = index + 1
    highest = max(_MIN_RANGE_NS, coarse.max or 0)
    head = pack(">IIIIQQd", _ENCODING_COOKIE, len(counts), 0, _DIGITS, 1, highest, 1.0)
    body = zlib.compress(head + counts)
    return base64.b64encode(pack(">II", _COMPRESSION_COOKIE, len(body)) + body).decode()


def _varint(value: int) -> bytes:
    """Return ``value`` in ZigZag LEB128 with at most nine bytes; the ninth one holds eight bits."""
    rest = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while rest > 0x7F and len(out) < _MAX_VARINT_BYTES - 1:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)
