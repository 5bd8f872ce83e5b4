"""Selection of the HTTP proxy for a target, from ``--proxy`` or the environment."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from undam.errors import UsageError
from undam.wire.config import ClientConfig
from undam.wire.url import Target, is_loopback, parse_url, redacted


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """An HTTP proxy.

    Args:
        name: URL without credentials, and the environment variable that set it, for instance
            ``http://proxy.test:3128 (HTTPS_PROXY)``.
    """

    host: str
    port: int
    userinfo: bytes | None = field(repr=False)
    name: str


def choose_proxy(target: Target, config: ClientConfig) -> HttpProxy | None:
    """Return the proxy for ``target``; ``None`` for a direct connection.

    An explicit proxy is always used. A proxy from the environment is not used for loopback hosts,
    hosts whose address the user has set, or hosts that ``NO_PROXY`` lists.

    Raises:
        UsageError: the proxy is not an HTTP proxy.
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
    # The lower-case name is older, and curl and other clients give it precedence.
    return (environ.get(variable.lower()) or environ.get(variable) or "").strip()


def _parse(text: str, source: str) -> HttpProxy:
    shown = redacted(text)
    scheme, slashes, _ = text.partition("://")
    if slashes and scheme.lower() != "http":
        raise UsageError(f"{source} {shown}: only http:// proxies are supported")
    try:
        target = parse_url(text if slashes else f"http://{text}")
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    where = f"http://{target.authority}"
    name = where if source == "--proxy" else f"{where} ({source})"
    return HttpProxy(target.host, target.port, target.userinfo, name)


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
