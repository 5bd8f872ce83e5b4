"""Detection of a body's framing from its first bytes.

The bytes decide, not the Content-Type: JSON lines are served as text/plain, application/json and
octet-stream, and event streams without any type. The declared type only breaks ties, for instance
for a body without data so far, or for text without a recognisable framing.
"""

from __future__ import annotations

import json
import re
from binascii import crc32
from enum import StrEnum

DECIDE_BYTES = 4096
"""Detection is final after this many bytes, if not earlier."""

_BOM = b"\xef\xbb\xbf"
_PRELUDE_BYTES = 12
# Real messages have at most 16 MB. The limit makes it unlikely that random bytes match a prelude.
_MAX_MESSAGE_BYTES = 16 << 20

_SSE = re.compile(rb"(?:data|event|id|retry)(?::|\r|\n)|:")
# First bytes of other framings that servers mistakenly declare as event streams.
_OTHER_START = re.compile(rb"\s*[{\[\x1e]|\s*$")
_SSE_PREFIX = re.compile(rb"d(?:a(?:ta?)?)?|e(?:v(?:e(?:nt?)?)?)?|i(?:d)?|r(?:e(?:t(?:ry?)?)?)?")
# Vercel AI SDK data stream, version 4: one JSON value per line behind a one-character code.
_CODED_LINE = re.compile(rb'[0-9a-z]:(?:["{\[]|null|true|false|-?\d)')
# An array, or the beginning of one that is still incomplete.
_JSON_ARRAY = re.compile(rb'\[\s*(?:["{\[\]]|-?\d|-?\Z|t(?:r|\Z)|f(?:a|\Z)|n(?:u|\Z))')
_BRACKETED = re.compile(rb"\[\s*\d")
_DELIMITER = re.compile(rb"--[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]\r?\n")
# Applications stream fragments of HTML; login and error pages are whole documents.
_PAGE = re.compile(rb"(?i)\s*(?:<!--.*?-->\s*)?<(?:!doctype|html|head|title)\b")
_JSON = json.JSONDecoder()
_BOUNDARY = re.compile(r"""boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))""", re.IGNORECASE)


class Framing(StrEnum):
    """Framing of a body. The JSON output contains these values."""

    SSE = "sse"
    """Server-sent events (WHATWG HTML 9.2)."""
    NDJSON = "ndjson"
    """One JSON value per line."""
    JSON_SEQ = "json-seq"
    """JSON text sequence: each value follows a record separator (RFC 7464)."""
    JSON_ARRAY = "json-array"
    """One JSON array, written element by element (Gemini without ``alt=sse``)."""
    EVENTSTREAM = "eventstream"
    """Binary messages with checksums (application/vnd.amazon.eventstream)."""
    MULTIPART = "multipart"
    """Body parts between delimiter lines (RFC 2046, section 5.1)."""
    TEXT = "text"
    """Plain text without framing."""
    BYTES = "bytes"
    """Binary data without a known framing."""


def detect(content_type: str, beginning: bytes, *, complete: bool) -> Framing | None:
    """Return the framing of a body, or ``None`` if more bytes are needed.

    Args:
        content_type: value of the Content-Type header; empty if there is none.
        beginning: the first bytes of the decoded body.
        complete: whether the body has ended.
    """
    kind = content_type.partition(";")[0].strip().lower()
    body = beginning.removeprefix(_BOM)
    final = complete or len(beginning) >= DECIDE_BYTES
    if not final and (len(beginning) < len(_BOM) and _BOM.startswith(beginning)):
        return None
    if body.startswith(b"\x1e"):
        return Framing.JSON_SEQ
    eventstream = _is_eventstream(body, final=final)
    if eventstream is not False:
        return None if eventstream is None else Framing.EVENTSTREAM
    if kind == "text/event-stream" and not _OTHER_START.match(body):
        # Invalid bytes in a declared event stream are a fault of that stream, not another framing.
        return Framing.SSE
    if _is_binary(body):
        return Framing.BYTES
    return _detect_text(kind, content_type, body.lstrip(b" \t\r\n"), final=final)


def boundary_of(content_type: str) -> str:
    """Return the boundary parameter of a multipart type, or an empty string."""
    match = _BOUNDARY.search(content_type)
    return (match[1] or match[2]) if match else ""


def is_page(beginning: bytes) -> bool:
    """Return whether a body begins like a whole web page, unlike a fragment of HTML."""
    return _PAGE.match(beginning) is not None


def has_bare_values(beginning: bytes) -> bool:
    """Return whether the values of a JSON body are divided by their brackets, not by line ends.

    They are if the first line is an incomplete value, because values are indented, or if it is
    more than one value, because nothing separates them.
    """
    first, newline, _ = beginning.removeprefix(_BOM).lstrip().partition(b"\n")
    line = first.rstrip()
    if newline and not line.endswith((b"}", b"]")):
        return True
    rest = _after_value(line)
    return rest is not None and (rest.startswith("{") or not (rest or newline))


def _after_value(line: bytes) -> str | None:
    """Return the text behind the first JSON value of a line; ``None`` if the value is incomplete.

    Only the first bytes of a body are passed, so repeated calls are cheap.
    """
    text = line.decode("utf-8", "replace")
    try:
        _, end = _JSON.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return text[end:].lstrip()


def is_coded_line(line: bytes) -> bool:
    """Return whether a line consists of a one-character code, a colon and a JSON value."""
    return _CODED_LINE.match(line) is not None


def _detect_text(kind: str, content_type: str, body: bytes, *, final: bool) -> Framing | None:
    if not body:
        return _declared(kind) if final else None
    if body[:1] == b":" and kind == "text/plain":
        return _comment_or_text(body, final=final)
    if _SSE.match(body):
        return Framing.SSE
    if not final and _SSE_PREFIX.fullmatch(body):
        return None
    if body[:1] == b"{":
        # The first line or value must be complete, because it shows how the values are divided.
        undecided = not final and b"\n" not in body and not _is_complete(body.rstrip())
        return None if undecided else Framing.NDJSON
    if body[:1] == b"[":
        return _array_or_lines(kind, body, final=final)
    if body[:2] == b"--" or (body == b"-" and not final):
        return _multipart_or_text(content_type, body, final=final)
    if kind in _LINE_TYPES and body[:1] in b'"-0123456789tfn':
        return Framing.NDJSON
    return _declared(kind) if kind in _LINE_TYPES and not body.isascii() else Framing.TEXT


def _is_complete(body: bytes) -> bool:
    return body.endswith(b"}") and _after_value(body) is not None


_LINE_TYPES = {
    "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines",
    "application/stream+json", "application/json-lines",
}  # fmt: skip


def _declared(kind: str) -> Framing:
    """Return the framing that the declared media type implies."""
    if kind == "text/event-stream":
        return Framing.SSE
    if kind in _LINE_TYPES:
        return Framing.NDJSON
    if kind == "application/json-seq":
        return Framing.JSON_SEQ
    if kind == "application/vnd.amazon.eventstream":
        return Framing.EVENTSTREAM
    return Framing.TEXT if kind.startswith("text/") else Framing.BYTES


def _comment_or_text(body: bytes, *, final: bool) -> Framing | None:
    """Distinguish an event stream that starts with a comment from text such as ":) hello"."""
    lines = [line for line in body.splitlines(keepends=True) if line.strip()]
    other = next((line for line in lines if not line.startswith(b":")), b"")
    if _SSE.match(other):
        return Framing.SSE
    may_continue = not final and (not other or _SSE_PREFIX.fullmatch(other) is not None)
    return None if may_continue else Framing.TEXT


def _array_or_lines(kind: str, body: bytes, *, final: bool) -> Framing | None:
    """Distinguish a single array from lines that each contain an array (LangGraph tuples).

    Text may also begin with a bracket, for instance with a reference or a link.
    """
    if not _JSON_ARRAY.match(body) or (kind == "text/plain" and _BRACKETED.match(body)):
        return Framing.TEXT
    first, newline, rest = body.partition(b"\n")
    line = first.rstrip()
    if newline and line.endswith(b"]") and rest.lstrip()[:1] in {b"[", b"{"}:
        return Framing.NDJSON
    if newline and line.endswith(b"]") and not final and not rest.strip():
        return None
    return Framing.JSON_ARRAY if len(body.rstrip()) > 1 or final else None


def _multipart_or_text(content_type: str, body: bytes, *, final: bool) -> Framing | None:
    boundary = boundary_of(content_type).encode()
    if boundary:
        wanted = b"--" + boundary
        if body.startswith(wanted):
            return Framing.MULTIPART
        return None if wanted.startswith(body) and not final else Framing.TEXT
    if _DELIMITER.match(body):
        return Framing.MULTIPART
    return None if b"\n" not in body and len(body) < 80 and not final else Framing.TEXT


def _is_eventstream(body: bytes, *, final: bool) -> bool | None:
    """Return whether ``body`` starts with a message prelude; ``None`` if more bytes are needed."""
    if len(body) < _PRELUDE_BYTES:
        may_be = body[:1] == b"\0" and not final
        return None if may_be else False
    total = int.from_bytes(body[:4], "big")
    headers = int.from_bytes(body[4:8], "big")
    if not _PRELUDE_BYTES + headers + 4 <= total <= _MAX_MESSAGE_BYTES:
        return False
    return crc32(body[:8]) == int.from_bytes(body[8:12], "big")


def _is_binary(body: bytes) -> bool:
    """Return whether ``body`` contains a NUL byte, or many bytes that are not valid UTF-8."""
    sample = body[:1024]
    if b"\0" in sample:
        return True
    return sample.decode("utf-8", "replace").count("�") > max(2, len(sample) // 20)
