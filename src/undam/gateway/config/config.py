"""What a gateway is to do, checked: from flags, from TOML, or from both."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from undam.errors import UsageError
from undam.gateway.config.options import OPTIONS
from undam.gateway.interfaces import RequestLimits
from undam.gateway.policy.admission_queue import AdmissionLimits
from undam.gateway.policy.hedging import HedgeLimits
from undam.gateway.policy.load_balancer import EjectionLimits
from undam.record import redact_text
from undam.wire.url import Target, parse_url

_KEY = re.compile(r"(env|file):(.+)")


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """One upstream as it was asked for.

    Args:
        max_streams: that it takes at once, per worker; 0 is no limit.
    """

    url: str
    name: str
    max_streams: int = 0

    @property
    def target(self) -> Target:
        """The URL's parts; raises UsageError."""
        return parse_url(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One value for each of `OPTIONS`, and the upstreams."""

    upstreams: tuple[UpstreamConfig, ...]
    listen: str
    workers: int
    heartbeat: float
    hedge: Literal["off", "auto"] | float
    hedge_paths: tuple[str, ...]
    ttft_timeout: float
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
    keys: str
    upstream_key: str
    upstream_cacert: str
    eject_after: int
    eject_time: float
    health_interval: float
    health_path: str
    tls_cert: str
    tls_key: str
    metrics: Literal["on", "off"]
    access_log: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.removeprefix("[").removesuffix("]"), int(port)

    @property
    def request_limits(self) -> RequestLimits:
        """What the relay grants every request."""
        return RequestLimits(
            heartbeat_s=self.heartbeat or None,
            ttft_timeout_s=self.ttft_timeout or None,
            idle_timeout_s=self.idle_timeout or None,
            send_timeout_s=self.send_timeout or None,
            client_buffer_bytes=self.client_buffer,
            max_body_bytes=self.max_body,
            retries=self.retries,
            tell_incomplete=self.tell_incomplete,
        )

    @property
    def hedge_limits(self) -> HedgeLimits:
        """What hedging may do."""
        if isinstance(self.hedge, str):
            return HedgeLimits(mode=self.hedge)
        return HedgeLimits(mode="fixed", fixed_s=self.hedge / 1000)

    @property
    def admission_limits(self) -> AdmissionLimits:
        """Bounds on what goes on at once."""
        return AdmissionLimits(self.max_streams, self.queue, self.queue_timeout)

    @property
    def ejection_limits(self) -> EjectionLimits:
        """When an upstream is set aside."""
        return EjectionLimits(self.eject_after, self.eject_time)

    @property
    def limits(self) -> dict[str, int]:
        """How many streams each upstream takes."""
        return {one.name: one.max_streams or self.upstream_streams for one in self.upstreams}


def make_config(values: Mapping[str, Any], upstreams: Sequence[UpstreamConfig]) -> Config:
    """Fill in the defaults and check what belongs together.

    Args:
        values: by option name, each as `options.read_value` gives it.

    Raises:
        UsageError: no upstream, two of one name, or values that do not go together.
    """
    if not upstreams:
        raise UsageError("no upstream: give --upstream http://HOST:PORT, or upstream in --config")
    for number, one in enumerate(upstreams):
        if one.name in {other.name for other in upstreams[:number]}:
            raise UsageError(f"two upstreams are called {one.name!r}")
        check_upstream(one)
    given = {option.name: option.default for option in OPTIONS} | dict(values)
    config = Config(upstreams=tuple(upstreams), **given)
    check_listen(config.listen)
    check_key("upstream_key", config.upstream_key)
    if bool(config.tls_cert) != bool(config.tls_key):
        raise UsageError("tls_cert and tls_key go together: give both or neither")
    if not config.health_path.startswith("/"):
        raise UsageError("health_path begins with a slash")
    return config


def check_upstream(upstream: UpstreamConfig) -> None:
    """Raises UsageError: its URL cannot be used; shows no credentials."""
    target = upstream.target
    if target.userinfo is not None:
        raise UsageError("an upstream's URL holds no user name or key: use upstream_key")
    if "?" in target.path:
        raise UsageError("an upstream's URL has no query")


def check_listen(text: str) -> None:
    """Raises UsageError: ``text`` is not HOST:PORT."""
    host, colon, port = text.rpartition(":")
    good = port.isascii() and port.isdigit() and len(port) < 6 and int(port) <= 65535
    if not (colon and host and good) or (":" in host and not host.startswith("[")):
        raise UsageError(f"listen {text!r}: give HOST:PORT, or [IPv6]:PORT; port 0 is a free one")


def check_key(name: str, text: str) -> None:
    """Raises UsageError: ``text`` names no place of a key. It may be a key, so it is not shown."""
    if text and not _KEY.fullmatch(text):
        raise UsageError(f"{name}: give env:NAME or file:PATH, never the key itself")


def read_key(name: str, text: str) -> str:
    """The key at the place that ``text`` names; "" for "".

    Raises:
        UsageError: the variable or file is missing or empty.
    """
    found = _KEY.fullmatch(text)
    if found is None:
        return ""
    kind, place = found.groups()
    if kind == "env":
        key = os.environ.get(place, "").strip()
    else:
        try:
            key = Path(place).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "is no text"
            raise UsageError(f"{name} {text}: {why}") from None
    if not key or any(not 33 <= ord(one) <= 126 for one in key):
        raise UsageError(f"{name} {text}: holds no key")
    return key


def upstream_from_url(url: str, *, max_streams: int = 0) -> UpstreamConfig:
    """An upstream from a URL alone, named by its authority; raises UsageError."""
    try:
        target = parse_url(url)
    except UsageError as problem:
        raise UsageError(redact_text(str(problem))) from None
    path = target.path.rstrip("/")
    return UpstreamConfig(url, target.authority + path, max_streams)


def changes(old: Config, new: Config) -> tuple[str, ...]:
    """The options that differ and that a running gateway cannot change."""
    fixed = {option.name for option in OPTIONS if not option.live}
    return tuple(
        field.name
        for field in fields(Config)
        if field.name in fixed and getattr(old, field.name) != getattr(new, field.name)
    )
