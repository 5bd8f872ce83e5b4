"""Classic BPF program that selects the relevant TCP packets.

The kernel runs it on each packet (Linux, Documentation/networking/filter.rst). It drops what the
analysis does not need: other ports and protocols, the second copy of each packet on the loopback
interface, and acknowledgements without data, which are half of the packets of a stream.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

_LD_WORD_ANCILLARY, _LD_HALF, _LD_BYTE = 0x20, 0x28, 0x30
_LD_HALF_X, _LD_BYTE_X = 0x48, 0x50
_LDX_HEADER, _LDX_CONST = 0xB1, 0x01
_AND, _SHIFT_RIGHT, _ADD_X, _SUB_X, _TO_X = 0x54, 0x74, 0x0C, 0x1C, 0x07
_JUMP_EQUAL, _JUMP_GREATER, _JUMP_SET, _RETURN = 0x15, 0x25, 0x45, 0x06
# Offsets for ancillary data (linux/filter.h).
_PACKET_TYPE, _INTERFACE_INDEX = 0xFFFFF004, 0xFFFFF008
_PACKET_OUTGOING = 4
_WHOLE = 0x40000
_ACCEPT, _DROP, _NEXT = "accept", "drop", ""
_Instruction = tuple[int, int, str, str]


class _Program:
    """BPF instructions with symbolic jump targets."""

    def __init__(self) -> None:
        self._code: list[_Instruction] = []
        self._labels: dict[str, int] = {}

    def add(self, code: int, value: int = 0, true: str = _NEXT, false: str = _NEXT) -> None:
        """Add an instruction. Jump targets are labels; "" is the next instruction."""
        self._code.append((code, value, true, false))

    def label(self, name: str) -> None:
        """Make ``name`` a label for the next instruction."""
        self._labels[name] = len(self._code)

    def assemble(self) -> bytes:
        """Return the program as an array of ``struct sock_filter``."""

        def offset(target: str, index: int) -> int:
            return self._labels[target] - index - 1 if target else 0

        return b"".join(
            struct.pack("=HBBI", code, offset(true, index), offset(false, index), value)
            for index, (code, value, true, false) in enumerate(self._code)
        )


def capture_filter(ports: Sequence[int], loopback_index: int) -> bytes:
    """Return a filter for packets that begin with the IP header (``SOCK_DGRAM``).

    Args:
        ports: at most 50; connections with one of these ports at either end; all if empty.
        loopback_index: index of the loopback interface; 0 if there is none.

    Raises:
        ValueError: there are too many ports for the jumps of a filter.
    """
    if len(ports) > 50:
        raise ValueError("at most 50 ports can be captured")
    program = _Program()
    program.add(_LD_WORD_ANCILLARY, _PACKET_TYPE)
    program.add(_JUMP_EQUAL, _PACKET_OUTGOING, _NEXT, "version")
    program.add(_LD_WORD_ANCILLARY, _INTERFACE_INDEX)
    program.add(_JUMP_EQUAL, loopback_index, "drop_near", _NEXT)
    program.label("version")
    program.add(_LD_BYTE, 0)
    program.add(_AND, 0xF0)
    program.add(_JUMP_EQUAL, 0x40, "ipv4", _NEXT)
    program.add(_JUMP_EQUAL, 0x60, "ipv6", _NEXT)
    program.label("drop_near")
    program.add(_RETURN, 0)
    program.label("ipv4")
    program.add(_LD_BYTE, 9)
    program.add(_JUMP_EQUAL, 6, _NEXT, "drop_near4")
    program.add(_LD_HALF, 6)
    program.add(_JUMP_SET, 0x3FFF, "drop_near4", _NEXT)
    program.add(_LDX_HEADER, 0)
    _add_tail(program, ports, "4", length_at=2)
    program.label("ipv6")
    program.add(_LD_BYTE, 6)
    program.add(_JUMP_EQUAL, 6, _NEXT, "drop_near6")
    program.add(_LDX_CONST, 40)
    _add_tail(program, ports, "6", length_at=4)
    return program.assemble()


def _add_tail(program: _Program, ports: Sequence[int], version: str, *, length_at: int) -> None:
    """Add checks of the TCP header, whose offset is in the index register X."""
    if ports:
        for at in (0, 2):
            program.add(_LD_HALF_X, at)
            for port in ports:
                program.add(_JUMP_EQUAL, port, f"flags{version}", _NEXT)
        program.label(f"drop_near{version}")
        program.add(_RETURN, 0)
    program.label(f"flags{version}")
    program.add(_LD_BYTE_X, 13)
    program.add(_JUMP_SET, 7, f"accept{version}", _NEXT)
    program.add(_LD_HALF_X, 14)
    program.add(_JUMP_EQUAL, 0, f"accept{version}", _NEXT)
    program.add(_LD_BYTE_X, 12)
    program.add(_AND, 0xF0)
    program.add(_SHIFT_RIGHT, 2)
    if version == "4":
        program.add(_ADD_X)
    program.add(_TO_X)
    program.add(_LD_HALF, length_at)
    # The length field is 0 for packets over 64 KB, which the network card will segment.
    program.add(_JUMP_EQUAL, 0, f"accept{version}", _NEXT)
    program.add(_SUB_X)
    program.add(_JUMP_GREATER, 0, f"accept{version}", _NEXT)
    if not ports:
        program.label(f"drop_near{version}")
    program.add(_RETURN, 0)
    program.label(f"accept{version}")
    program.add(_RETURN, _WHOLE)
