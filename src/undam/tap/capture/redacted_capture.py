"""Capture files that include bodies; secret header values are overwritten in each packet."""

from __future__ import annotations

import re
from typing import BinaryIO

from undam.secrecy import is_secret_name, redact_body
from undam.tap.capture.capture_file import RAW_IP, CaptureWriter, Packet

_HEADER = re.compile(rb"(\r\n([!-9;-~]{1,64}):[ \t]*)([^\r\n]+)")


class RedactedCapture:
    """Writer that overwrites secrets in packets and writes the packets to a pcapng file.

    A secret that is divided between two packets is overwritten only in part, and compressed
    headers of HTTP/2 are not overwritten: captures should be handled with care.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._writer = CaptureWriter(stream, RAW_IP)

    def write(self, packet: Packet) -> None:
        """Write one packet."""
        self._writer.write(packet._replace(data=redact_packet(packet.data)))


def redact_packet(data: bytes) -> bytes:
    """Return the bytes of a packet, with secrets overwritten (see `undam.secrecy`).

    Sizes stay the same, so that lengths and sequence numbers stay valid.
    """
    return redact_body([_HEADER.sub(_without_value, data)])[0]


def _without_value(found: re.Match[bytes]) -> bytes:
    is_secret = is_secret_name(found[2].decode("latin-1"))
    return found[1] + b"*" * len(found[3]) if is_secret else found[0]
