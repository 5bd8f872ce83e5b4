"""Synthetic packet captures: TCP connections with HTTP streams, built packet by packet."""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import hpack

from undam.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PREFACE,
    SETTINGS,
    encode_frame,
)
from undam.tap.capture.capture_file import ETHERNET, CaptureWriter, Packet

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MS = 1_000_000
START_NS = 1_800_000_000 * 1_000_000_000


@dataclass
class Side:
    """One endpoint of a connection: address, port and next sequence number."""

    address: str
    port: int
    seq: int
    ident: int = 1


@dataclass
class Connection:
    """TCP connection whose packets are appended to ``packets``.

    Times are in ms after the start of the capture.
    """

    client: Side
    server: Side
    packets: list[Packet] = field(default_factory=list)

    def open(self, at_ms: float) -> None:
        """Add the handshake."""
        self._add(at_ms, self.client, self.server, SYN, b"")
        self._add(at_ms, self.server, self.client, SYN | ACK, b"")
        self._add(at_ms, self.client, self.server, ACK, b"")

    def request(self, at_ms: float, data: bytes) -> None:
        """Add packets with data from the client."""
        self._send(at_ms, self.client, self.server, data)

    def response(self, at_ms: float, data: bytes) -> None:
        """Add packets with data from the server, and their acknowledgements."""
        self._send(at_ms, self.server, self.client, data)

    def close(self, at_ms: float, *, by_client: bool = False, flags: int = FIN) -> None:
        """Add the packets that close the connection."""
        first, second = (self.client, self.server) if by_client else (self.server, self.client)
        self._add(at_ms, first, second, flags | ACK, b"")
        if flags == FIN:
            self._add(at_ms + 0.05, second, first, FIN | ACK, b"")

    def window(self, at_ms: float, size: int) -> None:
        """Add an acknowledgement from the client that announces this receive window."""
        self._add(at_ms, self.client, self.server, ACK, b"", window=size)

    def _send(self, at_ms: float, source: Side, target: Side, data: bytes) -> None:
        for start in range(0, len(data), 1400):
            self._add(at_ms, source, target, PSH | ACK, data[start : start + 1400])
        self._add(at_ms + 0.02, target, source, ACK, b"")

    def _add(
        self, at_ms: float, source: Side, target: Side, flags: int, data: bytes, window: int = 512
    ) -> None:
        packet = tcp_packet(source, target, flags, data, window)
        self.packets.append(Packet(START_NS + round(at_ms * MS), ETHERNET, packet, len(packet)))
        source.seq = (source.seq + len(data) + bool(flags & (SYN | FIN))) % (1 << 32)
        source.ident = source.ident % 65535 + 1


def tcp_packet(source: Side, target: Side, flags: int, data: bytes, window: int = 512) -> bytes:
    """Return an Ethernet frame with one TCP segment; checksums are 0."""
    tcp = struct.pack(
        ">HHIIBBHHH", source.port, target.port, source.seq, target.seq, 5 << 4, flags, window, 0, 0
    )
    addresses = socket.inet_aton(source.address) + socket.inet_aton(target.address)
    total = 20 + len(tcp) + len(data)
    ip = struct.pack(">BBHHHBBH", 0x45, 0, total, source.ident, 0x4000, 64, 6, 0) + addresses
    return bytes(12) + b"\x08\x00" + ip + tcp + data


def chat_events(count: int, ident: str) -> list[bytes]:
    """Return a chat answer as SSE events that ``ident`` makes unique."""
    return [
        b'data: {"id":"%s","choices":[{"index":0,"delta":{"content":"word %d "}}]}\n\n'
        % (ident.encode(), number)
        for number in range(count)
    ]


def head(*lines: str) -> bytes:
    """Return the response head for an event stream with chunked framing."""
    more = "".join(f"{line}\r\n" for line in lines)
    return (
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
        f"{more}\r\n"
    ).encode()


def chunk(data: bytes) -> bytes:
    """Return ``data`` as an HTTP/1.1 chunk; for empty data, return the last chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chat_request(text: str = "hi") -> bytes:
    """Return a chat request that contains a secret."""
    body = b'{"stream":true,"messages":[{"role":"user","content":"%s"}]}' % text.encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.example\r\n"
        b"Authorization: Bearer sk-secret0123456789\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


class Http2Messages:
    """Frames on one HTTP/2 connection, with header compression in both directions."""

    def __init__(self) -> None:
        self._client, self._server = hpack.Encoder(), hpack.Encoder()

    def preface(self, settings: dict[int, int] | None = None) -> bytes:
        """Return the first bytes that the client sends."""
        payload = b"".join(struct.pack(">HI", *one) for one in (settings or {}).items())
        return PREFACE + encode_frame(SETTINGS, 0, 0, payload)

    def request(self, stream_id: int, text: str = "hi") -> bytes:
        """Return a chat request that contains a secret."""
        body = b'{"stream":true,"messages":[{"role":"user","content":"%s"}]}' % text.encode()
        fields = [
            (":method", "POST"), (":scheme", "http"), (":authority", "api.example"),
            (":path", "/v1/chat/completions"), ("authorization", "Bearer sk-secret0123456789"),
        ]  # fmt: skip
        head = self._client.encode(fields)
        return encode_frame(HEADERS, END_HEADERS, stream_id, head) + encode_frame(
            DATA, END_STREAM, stream_id, body
        )

    def head(self, stream_id: int, *, pieces: int = 1) -> bytes:
        """Return the response head of an event stream, split into this many frames."""
        fields = [(":status", "200"), ("content-type", "text/event-stream"), ("x", "y" * 60)]
        block = self._server.encode(fields)
        step = -(-len(block) // pieces)
        parts = [block[at : at + step] for at in range(0, len(block), step)]
        return b"".join(
            encode_frame(
                CONTINUATION if index else HEADERS,
                END_HEADERS if index == len(parts) - 1 else 0,
                stream_id,
                part,
            )
            for index, part in enumerate(parts)
        )

    @staticmethod
    def data(stream_id: int, data: bytes, *, end: bool = False, padding: int = 0) -> bytes:
        """Return a DATA frame with this payload."""
        flags = (END_STREAM if end else 0) | (PADDED if padding else 0)
        payload = bytes([padding]) + data + bytes(padding) if padding else data
        return encode_frame(DATA, flags, stream_id, payload)


def stream_through_proxy(
    due_ms: Sequence[float], out_ms: Sequence[float], *, number: int = 0, start_ms: float = 0.0
) -> list[Packet]:
    """Return the packets of one stream from both sides of a proxy.

    The client is 10.0.0.1, the proxy 10.0.0.2:8080, the origin 10.0.0.3:9000.

    Args:
        due_ms: when each event reaches the proxy.
        out_ms: when the proxy sends it on.
    """
    events = chat_events(len(due_ms), f"answer-{number}")
    outer = Connection(Side("10.0.0.1", 40000 + number, 1000), Side("10.0.0.2", 8080, 5000))
    inner = Connection(Side("10.0.0.2", 50000 + number, 7000), Side("10.0.0.3", 9000, 9000))
    outer.open(start_ms)
    outer.request(start_ms + 0.2, chat_request(f"question {number}"))
    inner.open(start_ms + 0.3)
    inner.request(start_ms + 0.5, chat_request(f"question {number}"))
    inner.response(start_ms + due_ms[0], head("Server: origin"))
    for at, event in zip(due_ms, events, strict=True):
        inner.response(start_ms + at, chunk(event))
    inner.response(start_ms + due_ms[-1] + 0.1, chunk(b"data: [DONE]\n\n") + chunk(b""))
    outer.response(start_ms + out_ms[0], head("Server: nginx/1.22.1"))
    waiting: dict[float, bytes] = {}
    for at, event in zip(out_ms, events, strict=True):
        waiting[at] = waiting.get(at, b"") + chunk(event)
    for at, data in waiting.items():
        outer.response(start_ms + at, data)
    outer.response(start_ms + out_ms[-1] + 0.1, chunk(b"data: [DONE]\n\n") + chunk(b""))
    inner.close(start_ms + due_ms[-1] + 1)
    outer.close(start_ms + out_ms[-1] + 1)
    return sorted(outer.packets + inner.packets, key=lambda packet: packet.at_ns)


def pcapng(packets: Sequence[Packet]) -> bytes:
    """Return the packets as a pcapng file."""
    file = io.BytesIO()
    writer = CaptureWriter(file, ETHERNET)
    for packet in packets:
        writer.write(packet)
    return file.getvalue()


def pcap(packets: Sequence[Packet], *, order: str = "<", nanoseconds: bool = True) -> bytes:
    """Return the packets as a pcap file with the given byte order and time resolution."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    unit = 1 if nanoseconds else 1000
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 1 << 18, ETHERNET)
    for packet in packets:
        seconds, rest = divmod(packet.at_ns, 1_000_000_000)
        out += struct.pack(order + "IIII", seconds, rest // unit, len(packet.data), packet.length)
        out += packet.data
    return out
