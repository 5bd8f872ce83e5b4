"""Capture files without secrets: values of secret headers are overwritten in each packet."""

from __future__ import annotations

import re
from typing import BinaryIO

from undam.tap.capture.capture_file import CaptureWriter, Packet

# The names are those of undam.record.redact. A value is overwritten with "x" of the same length, so
# that sizes and sequence numbers stay valid.
_SECRET = re.compile(
    rb"(?i)(\r\n(?:authorization|proxy-authorization|cookie|set-cookie|api-key|apikey|"
    rb"x-[a-z0-9-]*(?:key|token|secret|password)|ocp-apim-subscription-key|x-goog-api-key)"
    rb"[ \t]*:[ \t]*)([^\r\n]+)"
)
_QUERY = re.compile(
    rb"(?i)([?&](?:api[-_]?key|key|token|access_token|auth|password|secret|sig|signature)=)"
    rb"([^&#\s\"'<>\\]+)"
)
_KEY = re.compile(rb"()\b((?:sk|pk|rk|hf|gsk|xai)[-_][A-Za-z0-9_*-]{6,})")


class RedactedCapture:
    """Writes packets to a pcapng file, with secrets overwritten.

    A secret that is divided between two packets is overwritten only in part: captures should be
    handled with care. Packets of another link type than the first one's are left out.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._writer: CaptureWriter | None = None
        self._link_type = 0

    def write(self, packet: Packet) -> None:
        """Write one packet."""
        if self._writer is None:
            self._writer = CaptureWriter(self._stream, packet.link_type)
            self._link_type = packet.link_type
        if packet.link_type == self._link_type:
            self._writer.write(packet._replace(data=redact_packet(packet.data)))


def redact_packet(data: bytes) -> bytes:
    """Return the bytes of a packet with secrets overwritten."""
    for pattern in (_SECRET, _QUERY, _KEY):
        data = pattern.sub(lambda found: found[1] + b"x" * len(found[2]), data)
    return data
