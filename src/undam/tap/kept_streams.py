"""Capture file with the streams of a run, rewritten packet by packet without their text.

Only what the analysis needs is written: addresses, times, sizes, heads without secrets, and bodies
of placeholders. Each stream is a TCP connection of its own with HTTP/1.1, whatever protocol carried
it. It has the same gaps, retransmissions, full windows and end, so its analysis gives the same
result. Encrypted packets are kept as they are, for later decryption with a key log.
"""

from __future__ import annotations

import ipaddress
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import BinaryIO

import brotli

from undam.framing import Framing
from undam.record import Ending
from undam.secrecy import redact_headers, redact_url
from undam.tap.capture.capture_file import RAW_IP, CaptureWriter, Packet
from undam.tap.capture.segments import ACK, FIN, PSH, RST, SYN, Endpoint
from undam.tap.http.streams import CapturedStream
from undam.tap.legs import parse_leg
from undam.tap.mask import masked
from undam.tap.placeholders import Placeholders
from undam.timing import Arrival

_FRAMING_HEADERS = frozenset({"transfer-encoding", "content-length", "content-encoding"})
# The length field of a packet has 16 bits.
_MAX_PAYLOAD = 65_000
_MAX_REPEATS = 1000
_WINDOW = 512
_BODY_HASH_BYTES = 32
_LINE_END = b"\r\n"
_JSON_FRAMINGS = frozenset({Framing.NDJSON, Framing.JSON_SEQ, Framing.JSON_ARRAY})
# zlib window sizes by content coding.
_DEFLATE = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_WHOLE = {Ending.COMPLETE, Ending.CLOSED}


class StreamFile:
    """Writer for a pcapng file with streams and encrypted packets.

    Args:
        stream: where to write. The caller closes it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._writer = CaptureWriter(stream, RAW_IP)
        self._placeholders = Placeholders()
        self._count = 0

    def write_packet(self, packet: Packet) -> None:
        """Write an encrypted packet."""
        self._writer.write(packet)

    def write_stream(self, stream: CapturedStream) -> None:
        """Write one stream, unless it was decrypted: then its encrypted packets are written
        instead.
        """
        if stream.encrypted:
            return
        self._count += 1
        masked_stream = _without_text(stream, self._placeholders)
        _StreamWriter(self._writer, masked_stream, self._placeholders, self._count).write()


@dataclass(slots=True)
class _Sender:
    """One end of a connection in the written file."""

    address: Endpoint
    seq: int
    ident: int = 0


class _StreamWriter:
    """Writer for one stream, as a TCP connection.

    Args:
        number: number of the stream in the file; it makes the sequence numbers unique.
    """

    def __init__(
        self, writer: CaptureWriter, stream: CapturedStream, cover: Placeholders, number: int
    ) -> None:
        self._writer = writer
        self._stream = stream
        self._cover = cover
        first = number * 0x01000193 % (1 << 32)
        self._client, self._server = (
            _Sender(stream.client, first),
            _Sender(stream.server, first ^ 1 << 31),
        )
        self._at_ns = stream.start_ns

    def write(self) -> None:
        """Write the stream's handshake, request, response and end."""
        stream = self._stream
        self._send(self._client, SYN)
        self._send(self._server, SYN | ACK)
        if stream.request is not None:
            self._write_request()
        self._at_ns = max(self._at_ns, stream.head_ns)
        chunked, head = self._head()
        self._send(self._server, PSH | ACK, head)
        self._write_body(chunked=chunked)
        self._write_end(chunked=chunked)

    def _write_request(self) -> None:
        request = self._stream.request
        assert request is not None
        line = f"{request.method or 'POST'} {_target(request.target)} HTTP/1.1\r\n"
        self._send(self._client, PSH | ACK, line.encode("latin-1", "replace"))
        lines = [f"Host: {request.host}"]
        lines += [f"X-Request-Id: {self._digest(one.encode())}" for one in sorted(request.ids)]
        body = b""
        if request.body_hash is None:
            # An invalid chunk size makes the request body incomplete for readers, as it was in the
            # capture.
            lines.append("Transfer-Encoding: chunked")
            body = b"missing\r\n"
        elif request.body_hash:
            lines.append(f"Content-Length: {_BODY_HASH_BYTES}")
            body = self._digest(request.body_hash).encode()
        head = "".join(f"{one}\r\n" for one in lines) + "\r\n"
        self._at_ns = max(self._at_ns, request.sent_ns)
        self._send(self._client, PSH | ACK, head.encode("latin-1", "replace") + body)

    def _digest(self, data: bytes) -> str:
        return self._cover.bytes_for(data, _BODY_HASH_BYTES).decode()

    def _head(self) -> tuple[bool, bytes]:
        """Return whether the body is chunked, and the encoded head."""
        stream = self._stream
        head = stream.head
        version = "1.0" if head.http_version == "1.0" else "1.1"
        kept = [one for one in head.headers if one[0].lower() not in _FRAMING_HEADERS]
        lines = [f"{name}: {value}" for name, value in redact_headers(kept)]
        coding = head.get("content-encoding")
        if coding is not None:
            lines.append(f"Content-Encoding: {coding}")
        length = head.get("content-length")
        declared = length is not None and coding is None
        has_framing = head.get("transfer-encoding") is not None or length is not None
        chunked = not declared and (has_framing or head.http_version == "2")
        if declared:
            lines.append(f"Content-Length: {length}")
        elif chunked:
            lines.append("Transfer-Encoding: chunked")
        text = f"HTTP/{version} {head.status} x\r\n" + "".join(f"{one}\r\n" for one in lines)
        return chunked, text.encode("latin-1", "replace") + _LINE_END

    def _write_body(self, *, chunked: bool) -> None:
        stream = self._stream
        gaps = list(stream.breaks)
        if stream.problem is not None and stream.ending is not Ending.BROKEN and not gaps:
            gaps.append(len(stream.arrivals))
        size = max(1, stream.lost_bytes // len(gaps)) if gaps else 0
        for index, data in enumerate(_coded(stream)):
            if data or index in gaps:
                gap = size * gaps.count(index)
                self._write_part(data, stream.arrivals[index].at_ns, gap, chunked=chunked)
        if len(stream.arrivals) in gaps:
            self._write_part(b"", stream.ended_ns, size, chunked=chunked)
        for _ in range(min(stream.zero_windows, _MAX_REPEATS)):
            self._send(self._client, ACK, window=0)

    def _write_part(self, data: bytes, at_ns: int, gap: int, *, chunked: bool) -> None:
        """Write a part of the body; ``gap`` bytes before it are missing."""
        parts = [data[at : at + _MAX_PAYLOAD] for at in range(0, len(data), _MAX_PAYLOAD)] or [b""]
        for part in parts:
            size_line = b"%x\r\n" % (gap + len(part)) if chunked else b""
            tail = _LINE_END if chunked else b""
            if gap:
                self._send(self._server, PSH | ACK, size_line)
                self._server.seq = (self._server.seq + gap) % (1 << 32)
                size_line = b""
            self._at_ns = max(self._at_ns, at_ns)
            before = replace(self._server)
            self._send(self._server, PSH | ACK, size_line + part + tail)
            if gap:
                self._send(self._client, ACK)
                gap = 0
        stream = self._stream
        if stream.retransmitted and not stream.breaks:
            self._repeat(before, size_line + part + tail, min(stream.retransmitted, _MAX_REPEATS))
            stream.retransmitted = 0

    def _repeat(self, sender: _Sender, data: bytes, times: int) -> None:
        """Write copies of the last packet, which represent retransmissions."""
        for _ in range(times):
            again = replace(sender, ident=self._server.ident)
            self._send(again, PSH | ACK, data)
            self._server.ident = again.ident

    def _write_end(self, *, chunked: bool) -> None:
        stream = self._stream
        self._at_ns = max(self._at_ns, stream.ended_ns)
        if stream.ending is Ending.COMPLETE:
            last = b"0\r\n\r\n" if chunked else b""
            self._send(self._server, PSH | ACK, last)
            self._send(self._server, FIN | ACK)
            self._send(self._client, FIN | ACK)
        elif stream.ending in {Ending.CLOSED, Ending.TRUNCATED}:
            self._send(self._server, FIN | ACK)
            self._send(self._client, FIN | ACK)
        elif stream.ending is Ending.RESET:
            self._send(self._server, RST | ACK)
        elif stream.ending is Ending.BROKEN:
            self._send(self._server, PSH | ACK, b"broken\r\n")
        elif stream.left_ns is not None:
            self._send(self._client, RST | ACK)
        else:
            # At the end of the capture, the stream was still open.
            self._send(self._client, ACK)

    def _send(self, sender: _Sender, flags: int, data: bytes = b"", window: int = _WINDOW) -> None:
        is_server = sender.address == self._server.address
        receiver = self._client if is_server else self._server
        sender.ident = sender.ident % 65535 + 1
        packet = _packet(sender, receiver, flags, data, window)
        self._writer.write(Packet(self._at_ns, RAW_IP, packet, len(packet)))
        sender.seq = (sender.seq + len(data) + bool(flags & (SYN | FIN))) % (1 << 32)


def _target(target: str) -> str:
    """Return the path of a request target, without its query."""
    path = redact_url(target).partition("?")[0]
    return "".join(one if "!" <= one <= "~" else "_" for one in path) or "/"


def _packet(sender: _Sender, receiver: _Sender, flags: int, data: bytes, window: int) -> bytes:
    """Return an IP packet that contains one TCP segment."""
    source = ipaddress.ip_address(sender.address.address).packed
    target = ipaddress.ip_address(receiver.address.address).packed
    tcp = struct.pack(
        ">HHIIBBHHH", sender.address.port, receiver.address.port, sender.seq, receiver.seq, 5 << 4,
        flags, window, 0, 0,
    ) + data  # fmt: skip
    pseudo = source + target + struct.pack(">HHI", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack(">H", _checksum(pseudo + tcp)) + tcp[18:]
    if len(source) == 16:
        return struct.pack(">IHBB", 6 << 28, len(tcp), 6, 64) + source + target + tcp
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), sender.ident, 0x4000, 64, 6, 0)
    checksum = _checksum(ip + source + target)
    return ip[:10] + struct.pack(">H", checksum) + source + target + tcp


def _checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total = int.from_bytes(data + bytes(len(data) % 2), "big")
    return 0xFFFF - (total % 0xFFFF or (0xFFFF if total else 0))


def _without_text(stream: CapturedStream, cover: Placeholders) -> CapturedStream:
    """Return the stream with placeholders in place of its text."""
    reading = parse_leg(stream).reading
    bounds = [0, *stream.breaks, len(stream.arrivals)]
    parts = [
        b"".join(arrival.data for arrival in stream.arrivals[start:stop])
        for start, stop in pairwise(bounds)
    ]
    if reading.framing is Framing.SSE or not any(parts):
        bodies = cover.sse_body(parts)
    elif reading.framing in _JSON_FRAMINGS:
        bodies = cover.json_body(parts)
    else:
        return _as_event_stream(stream, list(masked(reading, cover).arrivals))
    return replace(stream, arrivals=_divided(b"".join(bodies), stream.arrivals))


def _divided(body: bytes, like: Sequence[Arrival]) -> list[Arrival]:
    arrivals, at = [], 0
    for arrival in like:
        arrivals.append(replace(arrival, data=body[at : at + len(arrival.data)]))
        at += len(arrival.data)
    return arrivals


def _as_event_stream(stream: CapturedStream, arrivals: list[Arrival]) -> CapturedStream:
    """Convert a stream with another framing to an event stream with the same events and sizes."""
    changed = {"content-type", *_FRAMING_HEADERS}
    headers = [one for one in stream.head.headers if one[0].lower() not in changed]
    headers.append(("Content-Type", "text/event-stream"))
    if stream.ending is not Ending.CLOSED:
        headers.append(("Transfer-Encoding", "chunked"))
    # The conversion loses the positions of missing bytes.
    breaks = [len(arrivals)] if stream.breaks else []
    head = replace(stream.head, headers=tuple(headers))
    return replace(stream, arrivals=arrivals, head=head, breaks=breaks)


def _coded(stream: CapturedStream) -> list[bytes]:
    """Return the data of each arrival, encoded with the stream's content coding."""
    coding = (stream.head.get("content-encoding") or "").strip().lower()
    parts = [arrival.data for arrival in stream.arrivals]
    if coding in _DEFLATE:
        deflate = zlib.compressobj(wbits=_DEFLATE[coding])
        coded = [deflate.compress(part) + deflate.flush(zlib.Z_SYNC_FLUSH) for part in parts]
        last = deflate.flush()
    elif coding == "br":
        compressor = brotli.Compressor(quality=1)
        coded = [compressor.process(part) + compressor.flush() for part in parts]
        last = compressor.finish()
    else:
        return parts
    if coded and stream.ending in _WHOLE:
        coded[-1] += last
    return coded
