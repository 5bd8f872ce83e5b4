"""Forward proxies: selection from ``--proxy`` or the environment, and SOCKS5."""

from __future__ import annotations

import ipaddress
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit

from undam.errors import NetworkError, UsageError
from undam.wire.config import ClientConfig
from undam.wire.url import Target, bracketed, is_loopback, parse_url, redacted

ProxyScheme = Literal["http", "socks5", "socks5h"]
"""Protocol of a proxy. With ``socks5h``, the proxy looks up the name of the target."""

_SOCKS_PORT = 1080

# Constants from RFC 1928: version, authentication methods, command, address types, reply codes.
_VERSION, _NO_AUTHENTICATION, _PASSWORD, _NOT_ACCEPTABLE, _CONNECT = 5, 0, 2, 0xFF, 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_REPLIES = {
    1: "general failure", 2: "not allowed by its rules", 3: "network is unreachable",
    4: "host is unreachable", 5: "connection refused", 6: "no answer", 7: "command not supported",
    8: "address type not supported",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ForwardProxy:
    """Forward proxy, through which the client connects to any target.

    Args:
        name: URL without credentials, and the environment variable that set it, for instance
            ``http://proxy.test:3128 (HTTPS_PROXY)``.
    """

    host: str
    port: int
    userinfo: bytes | None = field(repr=False)
    name: str
    scheme: ProxyScheme = "http"

    @property
    def is_socks(self) -> bool:
        """Return whether the proxy uses SOCKS5 to open tunnels, rather than HTTP."""
        return self.scheme != "http"


def choose_proxy(target: Target, config: ClientConfig) -> ForwardProxy | None:
    """Return the proxy to use for ``target``; ``None`` for a direct connection.

    An explicit proxy is always used. A proxy from the environment is not used for loopback hosts,
    hosts whose address the user has set, or hosts that ``NO_PROXY`` lists.

    Raises:
        UsageError: the proxy is neither an HTTP nor a SOCKS5 proxy.
    """
    if config.proxy is not None:
        return _parse(config.proxy, "--proxy")
    has_address = any(
        (target.host, target.port) == (host, port) for host, port, _ in config.resolve
    )
    if (
        has_address
        or is_loopback(target.host)
        or _is_exempt(target, _value(config.environ, "NO_PROXY"))
    ):
        return None
    for variable in (f"{target.scheme.upper()}_PROXY", "ALL_PROXY"):
        value = _value(config.environ, variable)
        if value:
            return _parse(value, variable)
    return None


def _value(environ: Mapping[str, str], variable: str) -> str:
    # The lower-case variable is older and takes precedence in curl and other clients.
    return (environ.get(variable.lower()) or environ.get(variable) or "").strip()


def _parse(text: str, source: str) -> ForwardProxy:
    before, slashes, rest = text.partition("://")
    scheme = _proxy_scheme(before) if slashes else "http"
    if scheme is None:
        raise UsageError(
            f"{source} {redacted(text)}: only http://, socks5:// and socks5h:// proxies are "
            f"supported"
        )
    try:
        target = parse_url(f"http://{rest if slashes else text}")
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    port, authority = target.port, target.authority
    if scheme != "http":
        port = urlsplit(f"http://{rest}").port or _SOCKS_PORT
        authority = f"{bracketed(target.name)}:{port}"
    where = f"{scheme}://{authority}"
    name = where if source == "--proxy" else f"{where} ({source})"
    return ForwardProxy(target.host, port, target.userinfo, name, scheme)


def _proxy_scheme(text: str) -> ProxyScheme | None:
    name = text.lower()
    return next((one for one in get_args(ProxyScheme) if one == name), None)


def socks_handshake(
    proxy: ForwardProxy, host: str, port: int
) -> Generator[tuple[bytes, int], bytes, None]:
    """Open a SOCKS5 tunnel to ``host``, an IP address or name (RFC 1928 and RFC 1929).

    The generator does no I/O: it yields the bytes to send and the number of bytes to read next,
    and receives exactly those bytes.

    Raises:
        NetworkError: phase "proxy"; the proxy refused, or it does not speak SOCKS5.
    """
    methods = [_NO_AUTHENTICATION] + ([_PASSWORD] if proxy.userinfo is not None else [])
    version, method = yield bytes([_VERSION, len(methods), *methods]), 2
    if version != _VERSION:
        raise _socks_error(proxy, "it does not speak SOCKS5; try http://")
    if method == _PASSWORD and proxy.userinfo is not None:
        name, _, password = proxy.userinfo.partition(b":")
        credentials = (len(part).to_bytes(1, "big") + part for part in (name[:255], password[:255]))
        _, status = yield b"\x01" + b"".join(credentials), 2
        if status != 0:
            raise _socks_error(proxy, "it rejected the user name and password")
    elif method == _NOT_ACCEPTABLE and proxy.userinfo is None:
        raise _socks_error(proxy, f"it requires a user name; use {proxy.scheme}://USER:PASSWORD@…")
    elif method != _NO_AUTHENTICATION:
        raise _socks_error(proxy, "it requires an unsupported way to authenticate")
    request = bytes([_VERSION, _CONNECT, 0]) + _socks_address(host) + port.to_bytes(2, "big")
    version, status, _, kind, first = yield request, 5
    if version != _VERSION or status != 0:
        reason = _REPLIES.get(status, f"reply {status}")
        raise _socks_error(proxy, f"it cannot connect to {bracketed(host)}:{port}: {reason}")
    # The rest of the bound address and the port must be read, but are not used.
    yield b"", {_IPV4: 3, _IPV6: 15}.get(kind, first) + 2


def _socks_address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.encode("ascii")
        return bytes([_NAME, len(name)]) + name
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed


def _socks_error(proxy: ForwardProxy, reason: str) -> NetworkError:
    return NetworkError(f"proxy {proxy.name}: {reason}", phase="proxy")


def _is_exempt(target: Target, no_proxy: str) -> bool:
    return any(_covers(entry, target) for entry in no_proxy.replace(",", " ").split())


def _covers(entry: str, target: Target) -> bool:
    """Return whether a NO_PROXY entry (``*``, domain, address or network) matches a target."""
    if entry == "*":
        return True
    host, colon, port = entry.lower().rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        if int(port) != target.port:
            return False
        entry = host
    entry = entry.lower().strip("[]")
    try:
        return ipaddress.ip_address(target.name) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        domain = entry.removeprefix("*").strip(".")
        name = target.name.removesuffix(".")
        return bool(domain) and (name == domain or name.endswith(f".{domain}"))
