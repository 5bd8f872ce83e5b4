"""Which HTTP proxy stands before a target: the one named, or one that the environment names."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from undam.errors import UsageError
from undam.wire.config import ClientConfig
from undam.wire.url import Target, is_loopback, parse_url, redacted


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Args:
        name: its URL without credentials, and who named it, for instance
            ``http://proxy.test:3128 (HTTPS_PROXY)``.
    """

    host: str
    port: int
    userinfo: bytes | None = field(repr=False)
    name: str


def choose_proxy(target: Target, config: ClientConfig) -> Proxy | None:
    """The proxy for ``target``; ``None`` for the straight way.

    An explicit one is used always. One of the environment is not used for this machine itself, for
    a host whose address the user gave, and for what ``NO_PROXY`` lists.

    Raises:
        UsageError: it is no HTTP proxy.
    """
    if config.proxy is not None:
        return _parse(config.proxy, "--proxy")
    given = any((target.host, target.port) == (host, port) for host, port, _ in config.resolve)
    if given or is_loopback(target.host) or _is_exempt(target, _value(config.environ, "NO_PROXY")):
        return None
    for variable in (f"{target.scheme.upper()}_PROXY", "ALL_PROXY"):
        value = _value(config.environ, variable)
        if value:
            return _parse(value, variable)
    return None


def _value(environ: Mapping[str, str], variable: str) -> str:
    # The lower-case form came first and wins in curl and the other clients.
    return (environ.get(variable.lower()) or environ.get(variable) or "").strip()


def _parse(text: str, source: str) -> Proxy:
    shown = redacted(text)
    scheme, slashes, _ = text.partition("://")
    if slashes and scheme.lower() != "http":
        raise UsageError(f"{source} {shown}: only http:// proxies can be used")
    try:
        target = parse_url(text if slashes else f"http://{text}")
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    where = f"http://{target.authority}"
    name = where if source == "--proxy" else f"{where} ({source})"
    return Proxy(target.host, target.port, target.userinfo, name)


def _is_exempt(target: Target, no_proxy: str) -> bool:
    return any(_covers(entry, target) for entry in no_proxy.replace(",", " ").split())


def _covers(entry: str, target: Target) -> bool:
    """Whether a member of NO_PROXY means this target: ``*``, a domain, an address, a network."""
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
