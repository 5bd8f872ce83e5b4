"""Live capture on Linux with an AF_PACKET socket and a memory-mapped ring (TPACKET_V3).

The kernel writes packets with their times into the ring, so that reading needs no system call per
packet (Linux, Documentation/networking/packet_mmap.rst).
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import select
import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence

from undam.errors import UsageError
from undam.tap.capture.capture_file import RAW_IP, Packet
from undam.tap.capture.packet_filter import capture_filter

_ALL_PROTOCOLS = 0x0003
_SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 5, 6, 10
_TPACKET_V3 = 2
_SO_ATTACH_FILTER = 26
# 64 blocks of 512 KB hold a few seconds of traffic. The kernel releases a block when it is full, or
# after 50 ms.
_BLOCK_BYTES, _BLOCKS, _FRAME_BYTES, _RETIRE_MS = 1 << 19, 64, 2048, 50
_BLOCK_HEADER = struct.Struct("=IIIIII")
_BLOCK_STATUS = struct.Struct("=8xI8xI")
# Maximum total size of blocks that are copied from the ring during an analysis.
_MAX_SAVED_BYTES = 256 << 20
_PACKET_HEADER = struct.Struct("=IIIIIIHH")
_USER = 1


class LiveCapture:
    """Live capture on this machine.

    Args:
        interfaces: names of interfaces; all if empty.
        ports: ports of either end; all if empty.

    Raises:
        UsageError: live capture is not possible. The message contains the reason and a command.
    """

    def __init__(self, interfaces: Sequence[str], ports: Sequence[int]) -> None:
        self._sockets: list[socket.socket] = []
        self._rings: list[tuple[mmap.mmap, int]] = []
        self._saved: deque[bytes] = deque()
        self._saved_bytes = 0
        self.dropped = 0
        try:
            for name in interfaces or [""]:
                self._open(name, ports)
        except BaseException:
            self.close()
            raise

    def _open(self, interface: str, ports: Sequence[int]) -> None:
        if not hasattr(socket, "AF_PACKET"):
            raise UsageError("live capture requires Linux; read a file instead: undam tap -r FILE")
        try:
            # Without an interface to bind to, the socket captures on all interfaces.
            protocol = 0 if interface else socket.htons(_ALL_PROTOCOLS)
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, protocol)
        except PermissionError:
            raise UsageError(
                "live capture needs the capability CAP_NET_RAW: run it as root (sudo undam tap),"
                " or read a capture: tcpdump -i any -s 0 -w - | undam tap -r -"
            ) from None
        except OSError as error:
            raise UsageError(f"live capture is not possible on this machine: {error}") from None
        self._sockets.append(sock)
        self._attach_filter(sock, ports)
        try:
            sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
            ring = struct.pack(
                "=IIIIIII", _BLOCK_BYTES, _BLOCKS, _FRAME_BYTES,
                _BLOCK_BYTES // _FRAME_BYTES * _BLOCKS, _RETIRE_MS, 0, 0,
            )  # fmt: skip
            sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, ring)
            self._rings.append((mmap.mmap(sock.fileno(), _BLOCK_BYTES * _BLOCKS), 0))
            if interface:
                sock.bind((interface, _ALL_PROTOCOLS))
        except OSError as error:
            known = ", ".join(name for _, name in socket.if_nameindex())
            where = f"interface {interface!r}" if interface else "all interfaces"
            raise UsageError(
                f"cannot capture on {where}: {error.strerror}; the interfaces are {known}"
            ) from None

    def _attach_filter(self, sock: socket.socket, ports: Sequence[int]) -> None:
        loopback = 0
        with contextlib.suppress(OSError):
            loopback = socket.if_nametoindex("lo")
        try:
            code = capture_filter(ports, loopback)
        except ValueError as error:
            raise UsageError(f"--port: {error}") from None
        buffer = ctypes.create_string_buffer(code)
        program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)

    def packets(self, timeout_s: float) -> Iterator[Packet]:
        """Yield the packets that the kernel has released; wait up to ``timeout_s`` for them."""
        if not self._saved and not select.select(self._sockets, [], [], timeout_s)[0]:
            return
        self.save_blocks()
        for _ in range(len(self._saved)):
            block = self._saved.popleft()
            self._saved_bytes -= len(block)
            yield from _packets_of(block)

    def save_blocks(self) -> None:
        """Copy the blocks that the kernel has released, for later reading; this frees the ring.

        A long analysis calls this from time to time, so that no packet is lost meanwhile.
        """
        for index, (ring, first) in enumerate(self._rings):
            block = first
            for _ in range(_BLOCKS):
                start = block * _BLOCK_BYTES
                status, size = _BLOCK_STATUS.unpack_from(ring, start)
                if not status & _USER or self._saved_bytes > _MAX_SAVED_BYTES:
                    break
                self._saved.append(ring[start : start + size])
                self._saved_bytes += size
                struct.pack_into("=I", ring, start + 8, 0)
                block = (block + 1) % _BLOCKS
            self._rings[index] = (ring, block)

    def count_drops(self) -> int:
        """Return the total number of packets that the kernel has dropped."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                raw = sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12)
                self.dropped += struct.unpack_from("=II", raw)[1]
        return self.dropped

    def close(self) -> None:
        """Stop the capture."""
        for ring, _ in self._rings:
            ring.close()
        for sock in self._sockets:
            sock.close()
        self._rings, self._sockets = [], []


def _packets_of(block: bytes) -> Iterator[Packet]:
    """Yield the packets in one block of the ring."""
    _, _, _, count, at, _ = _BLOCK_HEADER.unpack_from(block)
    unpack = _PACKET_HEADER.unpack_from
    for _ in range(count):
        step, sec, nsec, size, length, _, _, net = unpack(block, at)
        begin = at + net
        yield Packet(sec * 1_000_000_000 + nsec, RAW_IP, block[begin : begin + size], length)
        at += step
