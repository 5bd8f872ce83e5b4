"""Readers for pcap and pcapng files, from any binary stream, and a writer for pcapng files.

Formats: draft-ietf-opsawg-pcap-05 and draft-ietf-opsawg-pcapng-03. Both byte orders and time
resolutions are read. A file that ends in the middle of a packet is read up to that packet, and
`CaptureReader.problem` describes the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from undam.errors import UsageError

ETHERNET = 1
"""Link type of Ethernet frames."""

RAW_IP = 101
"""Link type of packets that begin with their IP header."""

_MAX_PACKET_BYTES = 1 << 20
_MAX_BLOCK_BYTES = 16 << 20
_READ_BYTES = 1 << 20
_NS = 10**9

# A pcap file's magic number defines its byte order and the unit of fractional seconds.
_PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_COMPRESSED = {
    b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "LZ4", b"\xfd7zX": "xz", b"PK\x03\x04": "zip"
}  # fmt: skip
_SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDER = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_OPTION_TIME_RESOLUTION = 9


class Packet(NamedTuple):
    """One captured packet.

    Args:
        at_ns: capture time, Unix ns.
        link_type: format of ``data`` (a LINKTYPE number).
        data: the captured bytes.
        length: size on the wire; larger than ``data`` if the capture cut the packet.
    """

    at_ns: int
    link_type: int
    data: bytes
    length: int


class CaptureReader:
    """Iterator over the packets in a capture.

    Args:
        stream: binary stream at the beginning of the capture.
        name: name of the capture for messages.

    Attributes:
        problem: why reading stopped before the end of the file; ``None`` for a complete file.
        cut_packets: packets that the capture's snapshot length cut.

    Raises:
        UsageError: the stream is not a pcap or pcapng capture.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._offset = 0
        self._buffer = memoryview(b"")
        self.problem: str | None = None
        self.cut_packets = 0
        magic = self._take(4)
        if magic is None:
            raise UsageError(f"{name}: the file is empty or shorter than a capture's header")
        if bytes(magic) in _PCAP_MAGIC:
            self._packets = self._read_pcap(*_PCAP_MAGIC[bytes(magic)])
        elif bytes(magic) == _SECTION_MAGIC:
            self._packets = self._read_pcapng()
        elif bytes(magic) in _COMPRESSED:
            raise UsageError(f"{name}: compressed with {_COMPRESSED[bytes(magic)]}; decompress it")
        else:
            raise UsageError(
                f"{name}: not a pcap or pcapng capture (it begins with {bytes(magic).hex(' ')});"
                f" write one with: tcpdump -i any -s 0 -w FILE"
            )

    def __iter__(self) -> Iterator[Packet]:
        return self._packets

    def _take(self, count: int) -> memoryview | None:
        """Return the next ``count`` bytes, or ``None`` if the stream ends before them."""
        buffer = self._buffer
        if len(buffer) < count:
            parts, size = [bytes(buffer)], len(buffer)
            while size < count:
                more = self._stream.read(_READ_BYTES)
                if not more:
                    self._buffer = memoryview(b"".join(parts))
                    return None
                parts.append(more)
                size += len(more)
            buffer = memoryview(b"".join(parts))
        self._buffer = buffer[count:]
        self._offset += count
        return buffer[:count]

    def _stop(self, reason: str) -> None:
        self.problem = (
            f"{self._name}: {reason} at byte {self._offset}; the packets before were read"
        )

    def _at_end(self) -> None:
        """Record a problem if the input ended inside a record."""
        if len(self._buffer):
            self._stop("the capture ends inside a packet")

    def _read_pcap(self, order: str, unit_ns: int) -> Iterator[Packet]:
        header = self._take(20)
        if header is None:
            self._stop("the capture's header is incomplete")
            return
        link_type = struct.unpack(order + "HHiIII", header)[5] & 0xFFFF
        record = struct.Struct(order + "IIII")
        while (fields := self._take(16)) is not None:
            seconds, fraction, captured, length = record.unpack(fields)
            if captured > _MAX_PACKET_BYTES or fraction * unit_ns >= _NS:
                self._stop("a damaged packet header")
                return
            data = self._take(captured)
            if data is None:
                self._stop("the capture ends inside a packet")
                return
            self.cut_packets += captured < length
            yield Packet(seconds * _NS + fraction * unit_ns, link_type, bytes(data), length)
        self._at_end()

    def _read_pcapng(self) -> Iterator[Packet]:
        order, interfaces, first = "<", list[tuple[int, int, int, int]](), True
        while True:
            if not first:
                yield from self._read_whole_packets(order, interfaces)
            head = self._take(4 if first else 8)
            if head is None:
                self._at_end()
                return
            kind = _SECTION if first else struct.unpack_from(order + "I", head)[0]
            if kind == _SECTION:
                new_order = self._section(bytes(head[-4:]))
                if new_order is None:
                    return
                order, interfaces, first = new_order, [], False
                continue
            body = self._body(struct.unpack_from(order + "I", head, 4)[0], order)
            if body is None:
                return
            try:
                if kind == _INTERFACE:
                    interfaces.append(_interface(body, order))
                elif kind in (_ENHANCED, _SIMPLE):
                    packet = _packet(kind, body, order, interfaces)
                    self.cut_packets += len(packet.data) < packet.length
                    yield packet
            except (struct.error, IndexError, OverflowError):
                self._stop("a damaged block")
                return

    def _read_whole_packets(
        self, order: str, interfaces: list[tuple[int, int, int, int]]
    ) -> Iterator[Packet]:
        """Yield the complete packets in the buffer, until a block of another kind follows.

        Almost all blocks are packets, so these are read without a slice for each field.
        """
        # The buffer is the tail of a bytes object. Slicing that object is cheaper than slicing a
        # view.
        buffer, unpack = self._buffer.obj, struct.Struct(order + "IIIIIII").unpack_from
        assert isinstance(buffer, bytes)
        begin = at = len(buffer) - len(self._buffer)
        end = len(buffer)
        while end - at >= 32:
            kind, total, number, high, low, captured, length = unpack(buffer, at)
            is_whole = 32 <= total <= end - at and captured + 32 <= total and not total % 4
            if kind != _ENHANCED or not is_whole or number >= len(interfaces):
                break
            link_type, _, multiplier, divisor = interfaces[number]
            self.cut_packets += captured < length
            start = at + 28
            at += total
            data = buffer[start : start + captured]
            yield Packet(((high << 32) | low) * multiplier // divisor, link_type, data, length)
        self._buffer = self._buffer[at - begin :]
        self._offset += at - begin

    def _section(self, length: bytes) -> str | None:
        """Read the rest of a section header, and return the byte order that it defines."""
        magic = self._take(4)
        order = None if magic is None else _BYTE_ORDER.get(bytes(magic))
        if order is None:
            self._stop("a damaged section header")
            return None
        # The byte-order magic was already read, so its length is subtracted.
        body = self._body(struct.unpack(order + "I", length)[0] - 4, order)
        return None if body is None else order

    def _body(self, total: int, order: str) -> memoryview | None:
        """Return the body of a block of ``total`` bytes, and check its trailing length."""
        if total < 8 or total > _MAX_BLOCK_BYTES or total % 4:
            self._stop("a damaged block length")
            return None
        rest = self._take(total - 8)
        if rest is None:
            self._stop("the capture ends inside a block")
            return None
        return rest[:-4]


def _interface(body: memoryview, order: str) -> tuple[int, int, int, int]:
    """Return the link type, the snapshot length, and the time unit as a fraction in ns."""
    link_type, _, snap = struct.unpack_from(order + "HHI", body)
    multiplier, divisor = 1000, 1
    at = 8
    while at + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, at)
        if code == 0:
            break
        if code == _OPTION_TIME_RESOLUTION and size == 1:
            resolution = body[at + 4]
            units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
            multiplier, divisor = _NS, units
        at += 4 + (size + 3) // 4 * 4
    return link_type, snap, multiplier, divisor


def _packet(
    kind: int, body: memoryview, order: str, interfaces: list[tuple[int, int, int, int]]
) -> Packet:
    if kind == _SIMPLE:
        link_type, snap, _, _ = interfaces[0]
        (length,) = struct.unpack_from(order + "I", body)
        captured = min(length, snap or length, len(body) - 4)
        return Packet(0, link_type, bytes(body[4 : 4 + captured]), length)
    number, high, low, captured, length = struct.unpack_from(order + "IIIII", body)
    link_type, _, multiplier, divisor = interfaces[number]
    if captured > len(body) - 20:
        raise IndexError
    at_ns = ((high << 32) | low) * multiplier // divisor
    return Packet(at_ns, link_type, bytes(body[20 : 20 + captured]), length)


class CaptureWriter:
    """Writer for pcapng files with timestamps in ns.

    Args:
        stream: where to write. The caller closes it.
        link_type: format of the packets. Other formats get an interface of their own.
    """

    def __init__(self, stream: BinaryIO, link_type: int) -> None:
        self._stream = stream
        self._interfaces: dict[int, int] = {}
        self._block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
        self._add_interface(link_type)

    def write(self, packet: Packet) -> None:
        """Write one packet."""
        if packet.link_type not in self._interfaces:
            self._add_interface(packet.link_type)
        fields = struct.pack(
            "<IIIII", self._interfaces[packet.link_type], packet.at_ns >> 32,
            packet.at_ns & 0xFFFFFFFF, len(packet.data), max(packet.length, len(packet.data)),
        )  # fmt: skip
        self._block(_ENHANCED, fields + packet.data)

    def _add_interface(self, link_type: int) -> None:
        self._interfaces[link_type] = len(self._interfaces)
        resolution = struct.pack("<HHB3xHH", _OPTION_TIME_RESOLUTION, 1, 9, 0, 0)
        self._block(_INTERFACE, struct.pack("<HHI", link_type, 0, 0) + resolution)

    def _block(self, kind: int, body: bytes) -> None:
        padded = body + bytes(-len(body) % 4)
        size = struct.pack("<I", len(padded) + 12)
        self._stream.write(struct.pack("<I", kind) + size + padded + size)
