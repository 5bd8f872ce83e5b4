"""Client address behind proxies, from X-Forwarded-For or the PROXY protocol. No I/O.

The specification of the PROXY protocol is haproxy.org/download/2.9/doc/proxy-protocol.txt.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
from collections.abc import Collection

from undam.http1.headers import RawHeaders

UNIX = "unix"
"""Name of all clients on a Unix socket in the list of trusted proxies."""

_V1_MAX_BYTES = 107
_V1 = re.compile(rb"PROXY (?:UNKNOWN[^\r\n]*|TCP[46] ([0-9A-Fa-f:.]+) [0-9A-Fa-f:.]+ \d+ \d+)\r\n")
_V1_START = b"PROXY "
_V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD = struct.Struct("!12sBBH")
_V2_MAX_BYTES = 4 << 10
_V2_FAMILIES = {1: (socket.AF_INET, 4), 2: (socket.AF_INET6, 16)}

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TrustedProxies:
    """Proxies whose X-Forwarded-For header is trusted.

    Args:
        networks: addresses, networks (``10.0.0.0/8``) and `UNIX`.

    Raises:
        ValueError: an entry is neither an address, nor a network, nor `UNIX`.
    """

    def __init__(self, networks: Collection[str] = ()) -> None:
        self._unix = UNIX in networks
        self._networks: list[_Network] = [
            ipaddress.ip_network(one, strict=False) for one in networks if one != UNIX
        ]

    def client(self, peer: str, headers: RawHeaders) -> str:
        """Return the address of the client that sent a request.

        This is the last address in X-Forwarded-For that does not belong to a trusted proxy. If the
        peer itself is not trusted, the header is ignored, because any client can send it.

        Args:
            peer: address of the other end of the connection; "" for a Unix socket.
        """
        if not (self._networks or self._unix) or not self._trusts(peer):
            return peer
        values = [value for name, value in headers if name.lower() == b"x-forwarded-for"]
        client = peer
        for part in reversed(b",".join(values).split(b",")):
            address = _without_port(part.decode("latin-1").strip())
            if _parsed(address) is None:
                break
            client = address
            if not self._trusts(address):
                break
        return client

    def trusts(self, peer: str) -> bool:
        """Return whether ``peer`` may send a PROXY header. Any peer may if no proxy is listed."""
        return not (self._networks or self._unix) or self._trusts(peer)

    def _trusts(self, address: str) -> bool:
        if not address:
            return self._unix
        parsed = _parsed(address)
        if parsed is None:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)


def parse_proxy_header(data: bytes) -> tuple[str | None, int] | None:
    """Parse the header of the PROXY protocol, version 1 or 2, at the start of a connection.

    Returns:
        The client's address (``None`` if the header has none, as for a health check) and the size
        of the header; ``None`` if it is incomplete.

    Raises:
        ValueError: the data does not begin with a header.
    """
    if data.startswith(_V2_SIGNATURE):
        return _parse_v2(data)
    if _V2_SIGNATURE.startswith(data) or (
        _V1_START.startswith(data[: len(_V1_START)]) and b"\n" not in data
    ):
        if len(data) > _V1_MAX_BYTES:
            raise ValueError("the PROXY header is too long")
        return None
    match = _V1.match(data[:_V1_MAX_BYTES])
    if match is None:
        raise ValueError("the connection does not begin with a PROXY header")
    address = match[1]
    if address is None:
        return None, match.end()
    return str(ipaddress.ip_address(address.decode("ascii"))), match.end()


def _parse_v2(data: bytes) -> tuple[str | None, int] | None:
    if len(data) < _V2_HEAD.size:
        return None
    _, version_and_command, family_and_protocol, length = _V2_HEAD.unpack_from(data)
    if version_and_command >> 4 != 2 or length > _V2_MAX_BYTES:
        raise ValueError("the PROXY header is malformed")
    end = _V2_HEAD.size + length
    if len(data) < end:
        return None
    command, family = version_and_command & 15, _V2_FAMILIES.get(family_and_protocol >> 4)
    if command not in (0, 1):
        raise ValueError("the PROXY header is malformed")
    if command == 0 or family is None:
        return None, end
    kind, size = family
    if length < 2 * size + 4:
        raise ValueError("the PROXY header is malformed")
    return socket.inet_ntop(kind, data[_V2_HEAD.size : _V2_HEAD.size + size]), end


def _without_port(text: str) -> str:
    """Return an address without its brackets and port."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None
