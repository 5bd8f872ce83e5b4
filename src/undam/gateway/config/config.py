"""Validated configuration of a gateway, from flags, TOML or both."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from undam.errors import UsageError
from undam.gateway.config.limits import (
    AdmissionLimits,
    EjectionLimits,
    HedgeLimits,
    RequestLimits,
)
from undam.gateway.config.options import OPTIONS
from undam.gateway.http.client_address import TrustedProxies
from undam.record import redact_text
from undam.wire.url import Target, parse_url

UNIX_PREFIX = "unix:"
"""Prefix of an upstream's URL, or of the address to listen on, that means a Unix socket."""

_UNIX_URL = re.compile(r"unix:(/[^:\x00-\x1f]+)(?::(/[^?#\x00-\x20]*))?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.\-]*://[!-.0-~]+")
_ENDPOINT = re.compile(r"/(?:completions|responses|embeddings|v1/messages)/?\Z")
_DEFAULT_PORT = re.compile(r"http://.*:80\Z|https://.*:443\Z")
_KEY = re.compile(r"(env|file):(.+)")


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """Configuration of one upstream.

    Args:
        name: name in logs and metrics.
        max_streams: maximum number of concurrent streams per worker; 0 means no limit.
        models: the models that it serves; empty if it serves all.
        priority: upstreams with a higher number are used only if no other one is available.
        resolve: each address of the host is an upstream of its own, and the name is looked up again
            every `Config.resolve_interval` seconds.
    """

    url: str
    name: str
    max_streams: int = 0
    models: tuple[str, ...] = ()
    priority: int = 0
    resolve: bool = False

    @property
    def unix_path(self) -> str:
        """Path of the Unix socket in the URL; "" if the URL names a host."""
        found = _UNIX_URL.fullmatch(self.url)
        return "" if found is None else found[1]

    @property
    def target(self) -> Target:
        """The parsed URL; raises UsageError if it is invalid."""
        found = _UNIX_URL.fullmatch(self.url)
        if found is not None:
            return parse_url(f"http://localhost{found[2] or '/'}")
        return parse_url(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Gateway configuration: a value for each option in `OPTIONS`, upstreams, and model aliases."""

    upstreams: tuple[UpstreamConfig, ...]
    aliases: Mapping[str, str]
    listen: str
    workers: int
    heartbeat: float
    hedge: Literal["off", "auto"] | float
    hedge_paths: tuple[str, ...]
    ttft_timeout: float
    response_timeout: float
    idle_timeout: float
    send_timeout: float
    drain_timeout: float
    retries: int
    tell_incomplete: bool
    max_streams: int
    upstream_streams: int
    queue: int
    queue_timeout: float
    client_buffer: int
    max_body: int
    body_budget: int
    failure_statuses: frozenset[int]
    affinity: str
    resolve_interval: float
    cors_origins: tuple[str, ...]
    keys: str
    upstream_key: str
    upstream_cacert: str
    eject_after: int
    eject_time: float
    health_interval: float
    health_path: str
    trusted_proxies: tuple[str, ...]
    proxy_protocol: Literal["on", "off"]
    tls_cert: str
    tls_key: str
    metrics: Literal["on", "off"]
    access_log: str

    @property
    def unix_path(self) -> str:
        """Path of the Unix socket to listen on; "" if the gateway listens on a port."""
        return self.listen.removeprefix(UNIX_PREFIX) if self.listen.startswith(UNIX_PREFIX) else ""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.removeprefix("[").removesuffix("]"), int(port)

    @property
    def request_limits(self) -> RequestLimits:
        """Limits that apply to each request."""
        return RequestLimits(
            heartbeat_s=self.heartbeat or None,
            ttft_timeout_s=self.ttft_timeout or None,
            response_timeout_s=self.response_timeout or None,
            idle_timeout_s=self.idle_timeout or None,
            send_timeout_s=self.send_timeout or None,
            client_buffer_bytes=self.client_buffer,
            max_body_bytes=self.max_body,
            body_budget_bytes=self.body_budget,
            failure_statuses=self.failure_statuses,
            retries=self.retries,
            report_incomplete=self.tell_incomplete,
        )

    @property
    def hedge_limits(self) -> HedgeLimits:
        """Limits of hedging."""
        if isinstance(self.hedge, str):
            return HedgeLimits(mode=self.hedge)
        return HedgeLimits(mode="fixed", fixed_delay_s=self.hedge / 1000)

    @property
    def admission_limits(self) -> AdmissionLimits:
        """Limits for admission control."""
        return AdmissionLimits(self.max_streams, self.queue, self.queue_timeout)

    @property
    def ejection_limits(self) -> EjectionLimits:
        """Limits of ejection."""
        return EjectionLimits(self.eject_after, self.eject_time)


def make_config(
    values: Mapping[str, Any],
    upstreams: Sequence[UpstreamConfig],
    aliases: Mapping[str, str] | None = None,
) -> Config:
    """Set default values, and check the options that depend on each other.

    Args:
        values: by option name, converted by the option's type.

    Raises:
        UsageError: no upstream is given, two upstreams have the same name, or values contradict
            each other.
    """
    if not upstreams:
        raise UsageError("no upstream: use --upstream URL, or set upstream in the --config file")
    for number, one in enumerate(upstreams):
        if one.name in {other.name for other in upstreams[:number]}:
            raise UsageError(f"two upstreams have the name {one.name!r}")
        check_upstream(one)
    given = {option.name: option.default for option in OPTIONS} | dict(values)
    config = Config(upstreams=tuple(upstreams), aliases=aliases or {}, **given)
    check_listen(config.listen)
    check_key("upstream_key", config.upstream_key)
    if bool(config.tls_cert) != bool(config.tls_key):
        raise UsageError("tls_cert and tls_key must be set together")
    if not config.health_path.startswith("/"):
        raise UsageError("health_path must begin with a slash")
    check_origins(config.cors_origins)
    if config.proxy_protocol == "on" and config.tls_cert:
        raise UsageError("proxy_protocol and tls_cert cannot be used together")
    try:
        TrustedProxies(config.trusted_proxies)
    except ValueError as error:
        raise UsageError(f"trusted_proxies: {error}") from None
    return config


def check_upstream(upstream: UpstreamConfig) -> None:
    """Raise UsageError if the URL is not usable; the message contains no credentials."""
    target = upstream.target
    if target.userinfo is not None:
        raise UsageError("the URL of an upstream must not contain credentials: use upstream_key")
    if "?" in target.path:
        raise UsageError("the URL of an upstream must not have a query")
    if _ENDPOINT.search(target.path):
        raise UsageError(
            "the URL of an upstream is the base of its paths, such as http://HOST:8000/v1, not the"
            " URL of an endpoint"
        )
    if upstream.resolve and upstream.unix_path:
        raise UsageError("resolve requires a URL with a host, not a Unix socket")


def check_listen(text: str) -> None:
    """Raise UsageError if ``text`` is neither HOST:PORT nor unix:PATH."""
    if text.startswith(UNIX_PREFIX) and len(text) > len(UNIX_PREFIX):
        return
    host, colon, port = text.rpartition(":")
    good = port.isascii() and port.isdigit() and len(port) < 6 and int(port) <= 65535
    if not (colon and host and good) or (":" in host and not host.startswith("[")):
        raise UsageError(
            f"listen {text!r}: use HOST:PORT, [IPv6]:PORT or unix:PATH; port 0 picks a free one"
        )


def check_origins(origins: Collection[str]) -> None:
    """Raise UsageError if one of ``origins`` is neither * nor an origin."""
    for one in origins:
        if one not in ("*", "null") and not _ORIGIN.fullmatch(one):
            raise UsageError(f"cors_origins {one!r}: use * or SCHEME://HOST[:PORT] without a path")
        if one != "*" and (one != one.lower() or "*" in one or _DEFAULT_PORT.match(one)):
            raise UsageError(
                f"cors_origins {one!r} never matches: browsers send the exact host in lower case,"
                " without a default port"
            )


def check_key(name: str, text: str) -> None:
    """Raise UsageError if ``text`` is not a key reference (env:NAME or file:PATH).

    The message does not contain ``text``, which may be a key.
    """
    if text and not _KEY.fullmatch(text):
        raise UsageError(f"{name}: use env:NAME or file:PATH, not the key itself")


def read_key(name: str, text: str) -> str:
    """Return the key that the reference ``text`` points to; "" if ``text`` is empty.

    Raises:
        UsageError: the variable or file is missing, or does not contain a key.
    """
    found = _KEY.fullmatch(text)
    if found is None:
        return ""
    kind, source = found.groups()
    if kind == "env":
        key = os.environ.get(source, "").strip()
    else:
        try:
            key = Path(source).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "is not text"
            raise UsageError(f"{name} {text}: {why}") from None
    if not key or any(not 33 <= ord(one) <= 126 for one in key):
        raise UsageError(f"{name} {text}: does not contain a key")
    return key


def upstream_from_url(url: str, *, max_streams: int = 0) -> UpstreamConfig:
    """Return the upstream for a URL, named after its authority and path, or raise UsageError."""
    if _UNIX_URL.fullmatch(url):
        return UpstreamConfig(url, url, max_streams)
    try:
        target = parse_url(url)
    except UsageError as problem:
        raise UsageError(redact_text(str(problem))) from None
    path = target.path.rstrip("/")
    return UpstreamConfig(url, target.authority + path, max_streams)


def restart_required(old: Config, new: Config) -> tuple[str, ...]:
    """Return the names of the changed options that a running gateway cannot apply."""
    fixed = {option.name for option in OPTIONS if not option.live}
    return tuple(
        field.name
        for field in fields(Config)
        if field.name in fixed and getattr(old, field.name) != getattr(new, field.name)
    )
