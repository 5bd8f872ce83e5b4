"""Gateway options, as flags and TOML keys: name, type, default and help text.

A flag and the TOML key of the same name share one type, so that both accept the same values and
report the same errors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from undam.gateway.config.limits import FAILURE_STATUSES

_HOUR_S, _DAY_S = 3600.0, 86400.0
_HEADER = re.compile(r"header:[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_STATUS = re.compile(r"[45][0-9]{2}")


class OptionType(Protocol):
    """Option type, which converts values and raises ValueError for an invalid value.

    The messages complete the sentence "NAME must be …" and do not repeat the value, which may
    be secret.
    """

    @property
    def metavar(self) -> str:
        """Placeholder for the value in ``--help``."""
        ...

    @property
    def description(self) -> str:
        """Description of the accepted values, for error messages."""
        ...

    def from_toml(self, value: object) -> Any:
        """Return the option value for a parsed TOML value."""
        ...

    def from_flag(self, text: str) -> Any:
        """Return the option value for a flag's text."""
        ...


@dataclass(frozen=True, slots=True)
class StringType:
    """A string without control characters."""

    metavar: str = "TEXT"
    description: str = "a string"

    def from_toml(self, value: object) -> str:
        """See `OptionType`."""
        if not isinstance(value, str):
            raise _wrong_type(self, value)
        if any(ord(char) < 32 or ord(char) == 127 for char in value):
            raise ValueError("must be a string without control characters")
        return value

    def from_flag(self, text: str) -> str:
        """See `OptionType`."""
        return self.from_toml(text)


@dataclass(frozen=True, slots=True)
class NumberType:
    """A number from ``low`` to ``high``.

    Args:
        unit: for error messages, for instance ``seconds``; "" for a plain number.
        whole: accept integers only.
    """

    metavar: str
    low: float = 0.0
    high: float = math.inf
    unit: str = ""
    whole: bool = True

    @property
    def description(self) -> str:
        """See `OptionType`."""
        noun = ("a whole number" if self.whole else "a number") + (self.unit and f" of {self.unit}")
        bounds = f" from {self.low:g}" + ("" if math.isinf(self.high) else f" to {self.high:g}")
        return noun + bounds

    def from_toml(self, value: object) -> float:
        """See `OptionType`."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            raise _wrong_type(self, value)
        if not (math.isfinite(value) and self.low <= value <= self.high):
            raise ValueError(f"must be {self.description}")
        return value if self.whole else float(value)

    def from_flag(self, text: str) -> float:
        """See `OptionType`."""
        try:
            # `int` would also accept signs, spaces and underscores.
            if self.whole and not (text.isascii() and text.isdigit() and len(text) < 16):
                raise ValueError
            return self.from_toml(int(text) if self.whole else float(text))
        except ValueError:
            raise ValueError(f"must be {self.description}") from None


@dataclass(frozen=True, slots=True)
class SwitchType:
    """A Boolean; the flag takes no value."""

    metavar: str = ""
    description: str = "true or false"

    def from_toml(self, value: object) -> bool:
        """See `OptionType`."""
        if not isinstance(value, bool):
            raise _wrong_type(self, value)
        return value

    def from_flag(self, text: str) -> bool:
        """See `OptionType`."""
        return self.from_toml(text)


@dataclass(frozen=True, slots=True)
class ListType:
    """A list of strings, comma-separated in the flag; may be empty only if allowed."""

    metavar: str = "A,B"
    description: str = "a list of strings"
    may_be_empty: bool = False

    def from_toml(self, value: object) -> tuple[str, ...]:
        """See `OptionType`."""
        if not isinstance(value, list) or not (value or self.may_be_empty):
            raise _wrong_type(self, value)
        if not all(isinstance(part, str) for part in value):
            raise _wrong_type(self, value)
        return tuple(value)

    def from_flag(self, text: str) -> tuple[str, ...]:
        """See `OptionType`."""
        return self.from_toml([part.strip() for part in text.split(",") if part.strip()])


@dataclass(frozen=True, slots=True)
class StatusesType:
    """A list of HTTP statuses, comma-separated in the flag; ``5xx`` means a class."""

    metavar: str = "N,N"
    description: str = "a list of statuses from 400 to 599, 4xx or 5xx"

    def from_toml(self, value: object) -> frozenset[int]:
        """See `OptionType`."""
        if not isinstance(value, list):
            raise _wrong_type(self, value)
        found: set[int] = set()
        for part in value:
            text = str(part) if isinstance(part, int | str) else ""
            if text in ("4xx", "5xx"):
                found.update(range(int(text[0]) * 100, int(text[0]) * 100 + 100))
            elif isinstance(part, bool) or not _STATUS.fullmatch(text):
                raise ValueError(f"must be {self.description}")
            else:
                found.add(int(text))
        return frozenset(found)

    def from_flag(self, text: str) -> frozenset[int]:
        """See `OptionType`."""
        return self.from_toml([part.strip() for part in text.split(",") if part.strip()])


@dataclass(frozen=True, slots=True)
class OnOffType:
    """A switch, ``on`` or ``off``. TOML files may also use true and false."""

    metavar: str = "on|off"
    description: str = "on or off"

    def from_toml(self, value: object) -> str:
        """See `OptionType`."""
        if isinstance(value, bool):
            return "on" if value else "off"
        if value in ("on", "off"):
            return value
        raise _wrong_type(self, value)

    def from_flag(self, text: str) -> str:
        """See `OptionType`."""
        return self.from_toml(text)


@dataclass(frozen=True, slots=True)
class HedgeType:
    """A hedging mode: ``off``, ``auto`` or a delay in milliseconds."""

    metavar: str = "off|auto|MS"
    description: str = "off, auto or a number of milliseconds"

    def from_toml(self, value: object) -> str | float:
        """See `OptionType`."""
        if value in ("off", "auto"):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(self, value)
        if not 0 < value <= _HOUR_S * 1000:
            raise ValueError(f"must be {self.description}")
        return float(value)

    def from_flag(self, text: str) -> str | float:
        """See `OptionType`."""
        try:
            return self.from_toml(float(text))
        except ValueError:
            return self.from_toml(text)


@dataclass(frozen=True, slots=True)
class AffinityType:
    """An affinity mode: ``off``, ``prefix``, ``user`` or the name of a header."""

    metavar: str = "header:NAME|user|prefix|off"
    description: str = "off, prefix, user or header:NAME"

    def from_toml(self, value: object) -> str:
        """See `OptionType`."""
        if not isinstance(value, str):
            raise _wrong_type(self, value)
        if value not in ("off", "prefix", "user") and not _HEADER.fullmatch(value):
            raise ValueError(f"must be {self.description}")
        return value

    def from_flag(self, text: str) -> str:
        """See `OptionType`."""
        return self.from_toml(text)


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Args:
        name: TOML key; the flag has dashes instead of underscores.
        live: whether SIGHUP applies a change. Other options need a restart.
    """

    name: str
    type: OptionType
    default: Any
    help: str
    live: bool = True

    @property
    def flag(self) -> str:
        """Name of the flag, for instance ``--idle-timeout``."""
        return "--" + self.name.replace("_", "-")


def _seconds(high: float, *, low: float = 0.0) -> NumberType:
    return NumberType("S", low, high, unit="seconds", whole=False)


def _count(high: float, *, low: float = 0.0) -> NumberType:
    return NumberType("N", low, high)


def _bytes(low: float, high: float) -> NumberType:
    return NumberType("BYTES", low, high, unit="bytes")


_MANY = 10**6
_FILE = StringType("FILE")

OPTIONS = (
    Option("listen", StringType("HOST:PORT"), "127.0.0.1:8080",
           "Address to listen on; port 0 picks a free one.", live=False),
    Option("workers", _count(256, low=1), 1,
           "Number of worker processes that share the port.", live=False),
    Option("heartbeat", _seconds(_HOUR_S), 15.0,
           "Silence after which a heartbeat comment is sent; 0 sends none."),
    Option("hedge", HedgeType(), "off",
           "Delay before a request without content is also sent to a second upstream; auto means"
           " twice the p95 TTFT."),
    Option("hedge_paths", ListType(), ("/chat/completions", "/completions", "/messages"),
           "Suffixes of the paths that may be hedged."),
    Option("ttft_timeout", _seconds(_DAY_S), 120.0,
           "Maximum time to the first content of a stream, per upstream; 0 means no limit."),
    Option("response_timeout", _seconds(_DAY_S), 600.0,
           "Maximum time to a response that is not a stream, per upstream; 0 means no limit."),
    Option("idle_timeout", _seconds(_DAY_S), 300.0,
           "Maximum silence of a stream after its first content; 0 means no limit."),
    Option("send_timeout", _seconds(_DAY_S), 60.0,
           "Maximum time for which a client may stop reading; 0 means no limit."),
    Option("drain_timeout", _seconds(_DAY_S), 30.0, "How long open streams may run after SIGTERM."),
    Option("retries", _count(16), 2,
           "Number of further upstreams to try after a failure before the first content."),
    Option("tell_incomplete", SwitchType(), False,
           "If a stream lacks its completion marker, end it with an error."),
    Option("max_streams", _count(_MANY), 0,
           "Maximum number of concurrent requests per worker; 0 means no limit."),
    Option("upstream_streams", _count(_MANY), 0,
           "Maximum number of concurrent requests per upstream and worker; 0 means no limit."),
    Option("queue", _count(_MANY), 100, "Maximum number of queued requests."),
    Option("queue_timeout", _seconds(_HOUR_S), 10.0, "Maximum time of a request in the queue."),
    Option("client_buffer", _bytes(4096, 1 << 30), 256 << 10,
           "Write buffer per client; the upstream is paused when it is full."),
    Option("max_body", _bytes(1024, 1 << 40), 64 << 20, "Maximum size of a request body."),
    Option("body_budget", _bytes(64 << 10, 1 << 40), 64 << 20,
           "Maximum size of all buffered request bodies per worker; beyond it, bodies are forwarded"
           " as they arrive and cannot be retried."),
    Option("failure_statuses", StatusesType(), FAILURE_STATUSES,
           "Statuses that count as a failure of the upstream; a request without side effects is"
           " then sent to another one."),
    Option("affinity", AffinityType(), "prefix",
           "How requests of one conversation are recognized, so that the same upstream gets them:"
           " prefix means the first messages or prompt_cache_key."),
    Option("resolve_interval", _seconds(_DAY_S, low=0.1), 10.0,
           "Time between name lookups of the upstreams with resolve = true."),
    Option("cors_origins", ListType(may_be_empty=True), (),
           "Origins of web pages that may use the gateway; * allows all. Without it, the upstreams"
           " decide."),
    Option("keys", _FILE, "", "File with the API keys that clients must present."),
    Option("upstream_key", StringType("env:N|file:F"), "",
           "API key to send upstream: env:NAME or file:PATH."),
    Option("upstream_cacert", _FILE, "", "CA certificates that verify the upstreams (PEM)."),
    Option("eject_after", _count(1000, low=1), 3,
           "Number of consecutive failures after which an upstream is ejected."),
    Option("eject_time", _seconds(60, low=0.01), 2.0,
           "Duration of the first ejection; it doubles each time, up to 60 s."),
    Option("health_interval", _seconds(_HOUR_S), 0.0,
           "Time between active health checks; 0 turns them off."),
    Option("health_path", StringType("PATH"), "/health", "Path of the active health check."),
    Option("trusted_proxies", ListType(may_be_empty=True), (),
           "Addresses or networks of the proxies whose X-Forwarded-For is trusted; unix means all"
           " clients on a Unix socket."),
    Option("proxy_protocol", OnOffType(), "off",
           "Whether connections begin with a header of the PROXY protocol (version 1 or 2).",
           live=False),
    Option("tls_cert", _FILE, "", "Certificate chain of the listener (PEM).", live=False),
    Option("tls_key", _FILE, "", "Private key of the listener (PEM).", live=False),
    Option("metrics", OnOffType(), "on", "Whether to serve /-/metrics.", live=False),
    Option("access_log", StringType("FILE|-"), "",
           "File for the access log (JSON lines); - means standard output.", live=False),
)  # fmt: skip
"""All options except ``upstream``, whose flag is repeatable and whose TOML key is a table."""

BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}

_TYPE_NAMES: Mapping[type, str] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "this string",
    list: "this list",
    dict: "a table",
}


def _wrong_type(expected: OptionType, value: object) -> ValueError:
    found = _TYPE_NAMES.get(type(value), "a date")
    return ValueError(f"must be {expected.description}, not {found}")
