"""Request and connection options for the client."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from undam.errors import UsageError
from undam.work_budget import MAX_BODY_BYTES, MAX_ITEMS

_RESOLVE = re.compile(r"(?P<host>[^:\[\]\s]+|\[[0-9a-fA-F:.]+\]):(?P<port>\d{1,5}):(?P<to>.+)\Z")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Request to send. Its headers replace default headers of the same name.

    ``repr`` shows only the method, because URL, headers and body may contain secrets.
    """

    url: str = field(repr=False)
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


HttpVersion = Literal["auto", "1.1", "2"]
"""Version to use. With "auto", the server chooses by ALPN, and http:// URLs use HTTP/1.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """Options for a connection: proxy, TLS, addresses, timeouts and size limits.

    Args:
        proxy: URL of an HTTP proxy; used for every host.
        environ: variables such as ``HTTPS_PROXY``; ignored for loopback hosts and for hosts in
            ``resolve``.
        cacert: PEM file with the certificate authorities to trust, instead of the system's.
        cert: PEM file with a client certificate and its key.
        resolve: (host, port, address) triples that replace the DNS lookup, as in curl.
        insecure: accept any certificate.
        timeout_s: time limit for the whole exchange, including redirects.
        spent_s: how much of ``timeout_s`` has passed before the exchange.
        connect_timeout_s: time limit for each connection setup, from DNS lookup to TLS handshake.
        max_head_bytes: maximum size of the response head, including interim responses. The same
            limit applies to trailers.
        max_body_bytes: maximum size of the decoded body, of the encoded body, and of the output of
            each coding in between.
        max_reads: maximum number of reads in which the body may arrive.
        max_redirects: maximum number of redirects; with 0, the redirect itself is returned.
        follow_origins: follow redirects to other origins, without the body and without secrets.
        follow_internal: with ``follow_origins``, also follow redirects to internal addresses:
            link-local ones, and from a public host also loopback and private ones.
        http_version: with "2" and an http:// URL, HTTP/2 is used with prior knowledge.
    """

    proxy: str | None = field(default=None, repr=False)
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    cacert: str | None = None
    cert: str | None = None
    resolve: tuple[tuple[str, int, str], ...] = ()
    insecure: bool = False
    timeout_s: float = 120.0
    spent_s: float = 0.0
    connect_timeout_s: float = 10.0
    max_head_bytes: int = 65536
    max_body_bytes: int = MAX_BODY_BYTES
    max_reads: int = MAX_ITEMS
    max_redirects: int = 5
    follow_origins: bool = False
    follow_internal: bool = False
    http_version: HttpVersion = "1.1"


def parse_resolve(text: str) -> tuple[str, int, str]:
    """Parse curl's ``HOST:PORT:ADDRESS`` form; IPv6 addresses may be in brackets.

    Raises:
        UsageError: the text does not have that form, or the address is not an IP address.
    """
    match = _RESOLVE.match(text)
    if match is None or not 0 < int(match["port"]) <= _MAX_PORT:
        raise UsageError(
            f"--resolve {text!a}: expected HOST:PORT:ADDRESS, for instance api.test:443:10.0.0.1"
        )
    try:
        address = str(ipaddress.ip_address(match["to"].removeprefix("[").removesuffix("]")))
    except ValueError:
        raise UsageError(f"--resolve {text!a}: {match['to']!a} is not an IP address") from None
    return match["host"].strip("[]").lower(), int(match["port"]), address
