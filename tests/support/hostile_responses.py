"""Hostile model-server responses that a client must survive, each as bytes or as a script."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from binascii import crc32
from collections.abc import Callable, Iterator
from itertools import product

import brotli

from support.chunked import LAST_CHUNK, chunk
from support.threaded_server import DONE, token

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

EVIL = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2028\r\n::set-output name=a::b<script>alert(1)</script>"
)
EVIL_LINE = b"\x1b]0;owned\x07EVIL\xc2\x9b31m\x08<script>alert(1)</script>"

SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = SSE_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSING = SSE_HEAD + b"Connection: close\r\n\r\n"

HI = token("hi") + DONE


def coded(coding: str, body: bytes) -> bytes:
    """Return a response in this content coding; the end of the connection ends the body."""
    return SSE_HEAD + f"Content-Encoding: {coding}\r\nConnection: close\r\n\r\n".encode() + body


def typed(content_type: str, body: bytes) -> bytes:
    """Return a response of this media type; the end of the connection ends the body."""
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n".encode(
            "latin-1"
        )
        + body
    )


def event(value: object) -> bytes:
    """Return an event whose data is JSON."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6),
    "deflate": lambda data: zlib.compress(data, 6),
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": lambda data: zstd.compress(data, 3),
}

# Bodies of tens of megabytes that compress to a few kilobytes.
BOMBS: dict[str, Callable[[int], bytes]] = {
    "comments": lambda size: b":\n" * (size // 2),
    "named-blanks": lambda size: b"data\n\n" * (size // 6),
    "events": lambda size: token("a") * (size // len(token("a"))),
    "blank-lines": lambda size: b"\n" * size,
    "one-line": lambda size: b"data: " + b"a" * size,
    "ids": lambda size: b"id: 1\n\n" * (size // 7),
    "ndjson": lambda size: b"{}\n" * (size // 3),
}


def _heads() -> Iterator[tuple[str, bytes]]:
    ok = b"HTTP/1.1 200 OK\r\n"
    end = b"Content-Type: text/event-stream\r\nConnection: close\r\n\r\n" + HI
    yield "no bytes", b""
    yield "http 0.9", EVIL.encode()
    yield "ssh", b"SSH-2.0-OpenSSH" + EVIL_LINE + b"\r\n"
    yield "tls alert", b"\x15\x03\x03\x00\x02\x02\x28"
    yield "http2 settings", b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    yield "status 000", b"HTTP/1.1 000 Zero\r\n" + end
    yield "status 999", b"HTTP/1.1 999 " + EVIL_LINE + b"\r\n" + end
    yield "status with sign", b"HTTP/1.1 +200 OK\r\n" + end
    yield "status of 20 digits", b"HTTP/1.1 20000000000000000000 OK\r\n" + end
    yield "version 9.9", b"HTTP/9.9 200 OK\r\n" + end
    yield "bare line feeds", (ok + end).replace(b"\r\n", b"\n")
    yield "folded header", ok + b"Server: a\r\n " + EVIL_LINE + b"\r\n" + end
    yield "NUL in a header", ok + b"X: a\0b\r\n" + end
    yield "control characters in a name", ok + b"X-\x01\x1b: b\r\n" + end
    yield (
        "control characters in values",
        (ok + b"Server: ng" + EVIL_LINE + b"\r\nVia: 1.1 \x9bv\r\nX-Cache: \xe2\x80\xae\r\n" + end),
    )
    yield "control characters in the type", typed("text/\x1b[31m;charset=\x07", HI)
    yield "header without colon", ok + b"Server nginx\r\n" + end
    yield "space before the colon", ok + b"Server : nginx\r\n" + end
    yield "2000 headers", ok + b"".join(b"X-%d: v\r\n" % i for i in range(2000)) + end
    yield "100 000 headers", ok + b"X: v\r\n" * 100_000 + end
    yield "header of 1 MB", ok + b"X: " + b"v" * (1 << 20) + b"\r\n" + end
    yield "interim responses", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 500 + ok + end
    yield "endless interim responses", b"HTTP/1.1 102 P\r\n\r\n" * 20_000
    yield "switching protocols", b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\0\0"
    yield (
        "error with control characters",
        b"HTTP/1.1 503 X\r\nContent-Length: 400\r\n\r\n" + (EVIL_LINE * 20)[:400],
    )
    yield "error page", b"HTTP/1.1 500 X\r\nContent-Type: text/html\r\n\r\n<title>" + EVIL_LINE
    for name in (b"Retry-After", b"Age", b"Date", b"Server-Timing", b"Alt-Svc", b"Set-Cookie"):
        for value in (b"9" * 400, b"-1", b"Fri, 31 Dec 9999 23:59:59 GMT", EVIL_LINE):
            text = b"HTTP/1.1 429 No\r\nConnection: close\r\n%b: %b\r\n\r\n" % (name, value)
            yield f"{name.decode()} {value[:8]!r}", text
    for location in (
        b"", b"/", b"//h", b"http://[::1", b"http://127.0.0.1:99999/", b"file:///etc/passwd",
        b"javascript:alert(1)", b"gopher://127.0.0.1/_x", b"http://u:hunter2secret@127.0.0.1:1/",
        b"http://169.254.169.254/latest/", b"http://2130706433:1/", b"http://" + EVIL_LINE, b"\xff",
        b"/" + b"a" * 60_000, b"http://127.0.0.2:1/?token=hunter2secret", b"https://127.0.0.1:1/",
    ):  # fmt: skip
        yield (
            f"redirect to {location[:30]!r}",
            (b"HTTP/1.1 307 T\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"),
        )


def _framings() -> Iterator[tuple[str, bytes]]:
    for size in (
        b"-1",
        b"+5",
        b"0x5",
        b"fffffffffffffffff",
        b"7fffffffffffffff",
        b"5 5",
        b"",
        b"g",
    ):
        yield f"chunk size {size.decode()!r}", CHUNKED + size + b"\r\ndata:\r\n"
    for length in (b"-5", b"+5", b"9" * 25, b"5, 6", b"5\r\nContent-Length: 6", b"five", b""):
        yield f"length {length[:8]!r}", SSE_HEAD + b"Content-Length: " + length + b"\r\n\r\n" + HI
    yield (
        "length and chunks",
        (SSE_HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(HI)),
    )
    yield "unknown transfer coding", SSE_HEAD + b"Transfer-Encoding: x\r\n\r\n" + HI
    yield "chunk extension of 1 MB", CHUNKED + b"5;" + b"a" * (1 << 20)
    yield "chunk extensions", CHUNKED + (b"1;" + b"a" * 4000 + b"\r\n:\r\n") * 100
    yield "zeros of a size", CHUNKED + b"0" * 200_000
    yield "one byte per chunk", CHUNKED + b"".join(chunk(bytes([b])) for b in HI * 50) + LAST_CHUNK
    yield "trailers", CHUNKED + chunk(HI) + b"0\r\nX-T: " + EVIL_LINE + b"\r\n\r\n"
    yield "40 000 trailers", CHUNKED + chunk(HI) + b"0\r\n" + b"a:\r\n" * 40_000
    yield "data after the end", CHUNKED + chunk(HI) + LAST_CHUNK + b"HTTP/1.1 200 OK\r\n\r\n" * 99
    yield "cut chunk", CHUNKED + b"ff\r\n" + HI
    yield "cut head", SSE_HEAD
    yield "empty chunked body", CHUNKED + LAST_CHUNK
    yield "bad line end", CHUNKED + b"5\r\ndata:XX"


def _codings() -> Iterator[tuple[str, bytes]]:
    for name, coder in CODERS.items():
        whole = coder(HI)
        yield f"{name} cut", coded(name, whole[:-4])
        yield f"{name} garbage", coded(name, b"\xff\x00garbage" * 50)
        yield f"{name} then garbage", coded(name, whole + b"garbage")
        yield f"{name} members", coded(name, coder(b"") * 20_000)
        yield f"{name} nested", coded(f"{name}, {name}", coder(coder(HI)))
        yield f"{name} claimed", coded(name, HI)
        yield f"{name} of nothing", coded(name, b"")
    yield "5000 codings", coded(", ".join(["gzip"] * 5000), b"xx")
    yield "unknown coding", coded("x\x1b[31m", HI)
    yield (
        "coding as transfer coding",
        (
            SSE_HEAD
            + b"Transfer-Encoding: gzip, chunked\r\n\r\n"
            + chunk(gzip.compress(HI))
            + LAST_CHUNK
        ),
    )


_NUMBERS = (
    "9" * 4000, "9" * 5000, str(2**63), str(2**63 - 1), "-1", "1e999", "-1e999", "NaN", "1.5",
    "true", '"7"', "[]", "{}", "null",
)  # fmt: skip
_PLACES = (
    '{"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"completion_tokens":%s}}',
    '{"choices":[{"index":%s,"delta":{"content":"x"}}],"created":%s}',
    '{"type":"response.completed","response":{"usage":{"output_tokens":%s}}}',
    '{"model":"m","response":"x","done":true,"eval_count":%s,"eval_duration":%s}',
    '{"choices":[{"delta":{"content":"x"}}],"undam":{"seq":%s,"due_ns":%s}}',
    '{"type":"message_delta","delta":{},"usage":{"output_tokens":%s}}',
)


def _values() -> Iterator[tuple[str, bytes]]:
    for number, place in product(_NUMBERS, _PLACES):
        text = place.replace("%s", number)
        name = f"{number[:19]} of {len(number)} in {_PLACES.index(place)}"
        yield name, CLOSING + f"data: {text}\n\n".encode() * 3 + HI
    for depth in (100, 900, 20_000, 500_000):
        yield f"{depth} levels", CLOSING + b"data: " + b'{"a":' * depth + b"\n\n" + HI
        yield f"{depth} lists", CLOSING + b"data: " + b"[" * depth + b"]" * depth + b"\n\n" + HI
    yield "many objects", CLOSING + b'data: {"a":[' + b"{}," * 1_000_000 + b"{}]}\n\n" + HI
    yield (
        "many choices",
        CLOSING
        + event({"choices": [{"index": i, "delta": {"content": "a"}} for i in range(20_000)]}),
    )
    yield "duplicate keys", CLOSING + b'data: {"choices":[],"choices":5,"choices":[{}]}\n\n' + HI
    yield "surrogates", CLOSING + event({"choices": [{"delta": {"content": "\ud800"}}]}) + HI
    odd = ('{"choices":{"0":1},"usage":[1],"error":[[[]]]}', "[1,2]", '"x"', "null", "7", "{", "}")
    yield "odd types", CLOSING + b"".join(f"data: {one}\n\n".encode() for one in odd) + HI


def _texts() -> Iterator[tuple[str, bytes]]:
    places: dict[str, object] = {
        "content": {"choices": [{"delta": {"content": EVIL}}], "model": EVIL, "id": EVIL},
        "error": {"error": {"message": EVIL, "type": EVIL, "code": EVIL}},
        "error text": {"error": EVIL},
        "tool": {"choices": [{"delta": {"tool_calls": [
            {"index": 0, "id": EVIL, "function": {"name": EVIL, "arguments": EVIL}}]}}]},
        "finish": {"choices": [{"delta": {}, "finish_reason": EVIL}]},
        "reasoning": {"choices": [{"delta": {"reasoning_content": EVIL}}]},
    }  # fmt: skip
    for name, value in places.items():
        yield f"control characters in {name}", CLOSING + event(value) * 10 + DONE
    yield (
        "control characters in fields",
        CLOSING
        + (
            b"event: %b\nid: %b\nretry: %b\ndata: %b\n\n"
            % (EVIL_LINE, EVIL_LINE, b"9" * 40, EVIL_LINE)
        )
        * 10,
    )
    yield "control characters in comments", CLOSING + b": " + EVIL_LINE + b"\n\n" + HI
    yield "an error event", CLOSING + b"event: error\ndata: " + EVIL_LINE + b"\n\n"
    for content_type in ("text/plain", "text/html", "application/json", "", "multipart/mixed",
                         "application/octet-stream", "application/x-ndjson"):  # fmt: skip
        yield f"control characters as {content_type!r}", typed(content_type, EVIL.encode() * 9)
    yield "invalid UTF-8", CLOSING + b"data: \xff\xfe\xc3\x28\xed\xa0\x80\n\n" * 20
    yield "UTF-16", CLOSING + "data: hi\n\n".encode("utf-16") * 20
    yield "NUL bytes", CLOSING + b"\0" * 300_000
    yield "carriage returns", CLOSING + b"data: a\rdata: b\r\r" * 50
    yield "byte order marks", CLOSING + b"\xef\xbb\xbfdata: x\n\n" * 50
    yield "long field names", CLOSING + (b"x" * 50_000 + b":\n") * 50
    yield "an endless line", CLOSING + b"data: " + b"a" * (5 << 20)
    yield "a secret", CLOSING + token("key sk-abcdefgh12345678") * 5 + DONE


def _message(payload: bytes, headers: bytes = b"") -> bytes:
    prelude = (len(payload) + len(headers) + 16).to_bytes(4, "big") + len(headers).to_bytes(
        4, "big"
    )
    prelude += crc32(prelude).to_bytes(4, "big")
    body = prelude + headers + payload
    return body + crc32(body).to_bytes(4, "big")


def _forms() -> Iterator[tuple[str, bytes]]:
    bodies = {
        "application/x-ndjson": b'{"response":"x","done":false}\n',
        "application/json-seq": b'\x1e{"a":"x"}\n',
        "application/json": b'[{"a":"x"},{"a":"y"},',
        "application/vnd.amazon.eventstream": _message(b'{"a":"x"}'),
        "multipart/mixed; boundary=b": b'--b\r\nContent-Type: application/json\r\n\r\n{"a":1}\r\n',
        "text/plain": b'0:"token"\n',
        "audio/mpeg": b"\xff\xfb\x90\x00" * 20,
    }
    for content_type, body in bodies.items():
        yield f"{content_type} cut", typed(content_type, body * 12 + body[: len(body) // 2])
        yield f"{content_type} damaged", typed(content_type, body * 5 + b'\x00\xff}]{["' + body * 5)
        yield f"{content_type} repeated", typed(content_type, body * 2000)
        yield f"{content_type} reversed", typed(content_type, (body * 5)[::-1])
    yield "message of 4 GB", typed("application/vnd.amazon.eventstream", b"\xff" * 40)
    yield "empty messages", typed("application/vnd.amazon.eventstream", _message(b"") * 5000)
    yield "empty boundary", typed("multipart/mixed; boundary=", b"--\r\n\r\n" * 50)
    yield "delimiters", typed("multipart/mixed; boundary=b", b"--b\r\n" * 20_000)
    yield (
        "part of -1 bytes",
        typed("multipart/mixed; boundary=b", b"--b\r\nContent-Length: 999999999\r\n\r\nx" * 9),
    )


def hostile_responses() -> dict[str, bytes]:
    """Return complete responses by name; the server closes the connection after each response."""
    found: dict[str, bytes] = {}
    for family in (_heads, _framings, _codings, _values, _texts, _forms):
        for name, response in family():
            assert name not in found, name
            found[name] = response
    return found


def bomb(name: str, size: int = 40 << 20) -> bytes:
    """Return a small compressed response that decodes to ``size`` bytes, such as "events in br"."""
    kind, coding = name.split(" in ")
    return coded(coding, CODERS[coding](BOMBS[kind](size)))
