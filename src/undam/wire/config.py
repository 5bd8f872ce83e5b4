"""What a user may set about a request and the way it takes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from undam.errors import UsageError

_RESOLVE = re.compile(r"(?P<host>[^:\[\]\s]+|\[[0-9a-fA-F:.]+\]):(?P<port>\d{1,5}):(?P<to>.+)\Z")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. Headers given here replace this client's own of the same name.

    Nothing but the method is shown by ``repr``: URL, headers and body may hold secrets.
    """

    url: str = field(repr=False)
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """How to reach a server, whom to trust, and when to give up.

    Args:
        proxy: URL of an HTTP proxy; always used.
        environ: where ``HTTPS_PROXY`` and its kin may stand; never used for a loopback host or one
            that ``resolve`` names.
        cacert: PEM file; the only authorities trusted.
        cert: PEM file with a client certificate and its key.
        resolve: (host, port, address) triples that replace the name look-up, as in curl.
        insecure: accept any certificate.
        timeout_s: for the whole exchange, redirects included, from its start.
        connect_timeout_s: for each connection, from the name look-up to the end of the handshake.
        max_head_bytes: response head, interim responses included; trailers have the same bound.
        max_body_bytes: readable body; also its coded form, and every form between.
        max_redirects: 0 hands the redirect itself to the caller.
    """

    proxy: str | None = field(default=None, repr=False)
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    cacert: str | None = None
    cert: str | None = None
    resolve: tuple[tuple[str, int, str], ...] = ()
    insecure: bool = False
    timeout_s: float = 120.0
    connect_timeout_s: float = 10.0
    max_head_bytes: int = 65536
    max_body_bytes: int = 64 * 1024 * 1024
    max_redirects: int = 5


def parse_resolve(text: str) -> tuple[str, int, str]:
    """Read curl's ``HOST:PORT:ADDRESS``; IPv6 addresses with or without brackets.

    Raises:
        UsageError: it is not of that form, or the address is no IP address.
    """
    match = _RESOLVE.match(text)
    if match is None or not 0 < int(match["port"]) <= _MAX_PORT:
        raise UsageError(
            f"--resolve {text!a}: expected HOST:PORT:ADDRESS, as api.test:443:10.0.0.1"
        )
    try:
        address = str(ipaddress.ip_address(match["to"].removeprefix("[").removesuffix("]")))
    except ValueError:
        raise UsageError(f"--resolve {text!a}: {match['to']!a} is no IP address") from None
    return match["host"].strip("[]").lower(), int(match["port"]), address
