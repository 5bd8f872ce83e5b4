"""Request targets, parsed from URLs. No text that this module returns contains credentials."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote_to_bytes, urljoin, urlsplit

from undam.errors import UsageError

DEFAULT_PORTS = {"http": 80, "https": 443}

# Characters that RFC 3986 allows in a path and query. They are not quoted, so that a URL is sent as
# it was written.
_SAFE = "!#$%&'()*+,/:;=?@[]~-._"
_UNSENDABLE = re.compile(r"[\x00-\x20\x7f]")
_BARE_IPV6 = re.compile(r"https?://[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:]*(?:/|\Z)")
_REG_NAME = re.compile(r"[a-z0-9._-]+\Z")
_MAX_HOST = 253
_MAX_LABEL = 63


@dataclass(frozen=True, slots=True)
class Target:
    """Target for a request.

    Args:
        scheme: "http" or "https".
        host: lower-case ASCII name, or IP literal without brackets, with its zone if it has one.
        path: path and query as in the request line, beginning with a slash.
        userinfo: ``user:password`` of the URL, decoded.
    """

    scheme: str
    host: str
    port: int
    path: str
    userinfo: bytes | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Host without its zone, as used in certificates and in the Host header."""
        return self.host.partition("%")[0]

    @property
    def authority(self) -> str:
        """``host``, or ``host:port`` if the port is not the default; IPv6 addresses are in
        brackets.
        """
        host = bracketed(self.name)
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Origin (RFC 6454). Credentials are sent only to targets of the same origin."""
        return (self.scheme, self.host, self.port)

    @property
    def text(self) -> str:
        """URL without credentials."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_url(text: str) -> Target:
    """Parse an absolute http or https URL.

    Raises:
        UsageError: the URL is invalid; the message states why and contains no credentials.
    """
    shown = redacted(text)
    if _UNSENDABLE.search(text):
        raise UsageError(f"{shown!a} is not a URL: it contains a space or a control character")
    split, port = _split(text, shown)
    _require_scheme(split.scheme, text, shown)
    userinfo = None
    if "@" in split.netloc:
        userinfo = unquote_to_bytes(split.netloc.rpartition("@")[0])
    path = quote(split.path or "/", safe=_SAFE)
    if split.query:
        path = f"{path}?{quote(split.query, safe=_SAFE)}"
    default = DEFAULT_PORTS[split.scheme]
    host = _host(split, shown)
    return Target(split.scheme, host, default if port is None else port, path, userinfo)


def follow(target: Target, location: str) -> Target:
    """Return the target to which a redirect from ``target`` leads (RFC 9110 10.2.2).

    Credentials in ``location`` are dropped, because a server must not choose the user. Credentials
    of ``target`` are kept if the origin is the same.

    Raises:
        UsageError: ``location`` is not an http or https URL.
    """
    try:
        joined = urljoin(target.text, location.strip())
    except ValueError:
        joined = location
    found = parse_url(joined)
    kept = target.userinfo if found.origin == target.origin else None
    return Target(found.scheme, found.host, found.port, found.path, kept)


def redacted(text: str) -> str:
    """Return ``text`` without the parts that could be credentials."""
    before, at, after = text.rpartition("@")
    scheme, slashes, _ = before.partition("://")
    if not at:
        return text
    return f"{scheme}://…@{after}" if slashes else f"…@{after}"


def bracketed(host: str) -> str:
    """Return a host in brackets if it is an IPv6 address, so that a port can follow."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Return whether a host is a loopback name (RFC 6761 6.3) or address, without a DNS lookup."""
    if host in {"localhost", "localhost."} or host.endswith((".localhost", ".localhost.")):
        return True
    try:
        # inet_aton accepts short forms such as 127.1, as connect() does.
        address = ipaddress.ip_address(host if ":" in host else socket.inet_aton(host))
    except (OSError, ValueError):
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def is_link_local(address: str) -> bool:
    """Return whether an IP address is link-local. Cloud metadata services use such addresses."""
    return _ip(address).is_link_local


def is_public(address: str) -> bool:
    """Return whether an IP address is globally reachable."""
    return _ip(address).is_global


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    ip = ipaddress.ip_address(address.partition("%")[0])
    return getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None) or ip


def _split(text: str, shown: str) -> tuple[SplitResult, int | None]:
    try:
        split = urlsplit(text)
        return split, split.port
    except ValueError as error:
        # The original error quotes part of the URL, which could contain part of a password.
        why = f": {error}" if shown == text else ""
        if _BARE_IPV6.match(text):
            why = ": write an IPv6 address in brackets, as in http://[::1]:8000/"
        raise UsageError(f"'{shown}' is not a URL{why}") from None


def _require_scheme(scheme: str, text: str, shown: str) -> None:
    if scheme in DEFAULT_PORTS:
        return
    if "://" in text:
        raise UsageError(f"'{shown}': only http:// and https:// URLs are supported")
    raise UsageError(
        f"'{shown}' is not a URL: it does not begin with http:// or https://; "
        f"did you mean http://{shown.lstrip('/')} ?"
    )


def _host(split: SplitResult, shown: str) -> str:
    host = split.hostname or ""
    if not host:
        raise UsageError(f"'{shown}' is not a URL: it has no host")
    if "[" in split.netloc:
        return _ip_literal(host, shown)
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise UsageError(f"'{shown}' is not a URL: the host is not a valid name") from None
    labels = host.removesuffix(".").split(".")
    if not _REG_NAME.match(host) or len(host) > _MAX_HOST:
        raise UsageError(f"'{shown}' is not a URL: the host is not a valid name")
    if not all(0 < len(label) <= _MAX_LABEL for label in labels):
        raise UsageError(f"'{shown}' is not a URL: the host has an empty or overlong label")
    return host


def _ip_literal(host: str, shown: str) -> str:
    address, _, zone = host.partition("%")
    zone = zone.removeprefix("25")  # In RFC 6874, the percent sign is written as %25.
    try:
        literal = str(ipaddress.IPv6Address(address))
    except ValueError:
        raise UsageError(f"'{shown}' is not a URL: it contains an invalid IPv6 address") from None
    return f"{literal}%{zone}" if zone else literal
