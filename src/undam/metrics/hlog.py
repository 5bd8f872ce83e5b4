"""The distributions of a run as an HdrHistogram log, for the tools that read those.

Format 1.3, one line a distribution with its tag; values are nanoseconds kept to three digits, so
a value is told at most 0.1 % off and none is dropped. The payload is V2, compressed, in base64.
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
# One hour: readers allocate for it, and it is kept the same so that logs can be added up.
_LEAST_RANGE_NS = 3_600_000_000_000
_ENCODING_COOKIE = 0x1C849303 | 0x10
_COMPRESSION_COOKIE = 0x1C849304 | 0x10
_MOST_VARINT_BYTES = 9


def hlog_lines(summary: Summary) -> Iterator[str]:
    """The lines of the log, each with its newline; a distribution without values has none."""
    begun = (summary.first_ns or 0) / 1e9
    day = datetime.fromtimestamp(begun, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    yield "#[Logged by undam bench; values are nanoseconds, Interval_Max is in milliseconds]\n"
    yield "#[Histogram log format version 1.3]\n"
    yield f"#[StartTime: {begun:.3f} (seconds since epoch), {day}]\n"
    yield '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    length = summary.duration_ns / 1e9
    for name in TIMES:
        times = summary.times(name)
        if times.max is not None:
            most = times.max / 1e6
            payload = hdr_payload(times)
            yield f"Tag={name},{begun:.3f},{length:.3f},{most:.3f},{payload}\n"


def hdr_payload(times: Histogram) -> str:
    """The histogram in HdrHistogram's compressed V2 form, in base64.

    With 11 bits our buckets are those of an HdrHistogram of three digits, index by index.
    """
    coarse = times.coarser(_BITS)
    counts = bytearray()
    at = 0
    for index, n in coarse.indices():
        if index > at:
            # A run of empty buckets is one negative number; a single one is a zero.
            counts += _varint(at - index if index - at > 1 else 0)
        counts += _varint(n)
        at = index + 1
    most = max(_LEAST_RANGE_NS, coarse.max or 0)
    head = pack(">IIIIQQd", _ENCODING_COOKIE, len(counts), 0, _DIGITS, 1, most, 1.0)
    body = zlib.compress(head + counts)
    return base64.b64encode(pack(">II", _COMPRESSION_COOKIE, len(body)) + body).decode()


def _varint(value: int) -> bytes:
    """ZigZag and LEB128, in at most nine bytes, of which the ninth holds eight bits."""
    rest = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while rest > 0x7F and len(out) < _MOST_VARINT_BYTES - 1:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)
