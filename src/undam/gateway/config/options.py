"""Every option of the gateway, by flag and in TOML: its name, what it takes, what it means.

A flag and a key of the same name are read by the same function, so that both are refused in the
same words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "seconds", "count", "bytes", "switch", "texts", "hedge", "choice"]

_WORDS: Mapping[str, str] = {
    "text": "a text",
    "seconds": "a number of seconds",
    "count": "a whole number",
    "bytes": "a whole number of bytes",
    "switch": "true or false",
    "texts": "a list of texts",
    "hedge": "off, auto or a number of milliseconds",
}
_HOUR, _DAY = 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Args:
        name: its TOML key; the flag has dashes for the underscores.
        low, high: bounds of a number.
        choices: of kind ``choice``.
        live: whether SIGHUP applies a change; the others need a new start.
    """

    name: str
    kind: Kind
    default: Any
    meaning: str
    low: float = 0.0
    high: float = math.inf
    choices: tuple[str, ...] = ()
    live: bool = True

    @property
    def flag(self) -> str:
        """For instance ``--idle-timeout``."""
        return "--" + self.name.replace("_", "-")

    @property
    def wants(self) -> str:
        """What it takes, in words."""
        words = " or ".join(self.choices) if self.kind == "choice" else _WORDS[self.kind]
        if self.kind not in {"seconds", "count", "bytes"}:
            return words
        if math.isinf(self.high):
            return f"{words} from {self.low:g}"
        return f"{words} from {self.low:g} to {self.high:g}"


OPTIONS = (
    Option("listen", "text", "127.0.0.1:8080", "HOST:PORT; port 0 picks a free one.", live=False),
    Option("workers", "count", 1, "Processes that share the port.", 1, 256, live=False),
    Option("heartbeat", "seconds", 15.0, "Silence before a comment; 0 is never.", 0, _HOUR),
    Option("hedge", "hedge", "off", "When a second upstream is asked: auto is 2 x p95 of TTFT."),
    Option("hedge_paths", "texts", ("/chat/completions", "/completions", "/messages"),
           "Ends of the paths that may be hedged."),
    Option("ttft_timeout", "seconds", 0.0, "Time to the first content; 0 is any.", 0, _DAY),
    Option("idle_timeout", "seconds", 300.0, "Silence of a stream; 0 is any.", 0, _DAY),
    Option("send_timeout", "seconds", 60.0, "How long a client may take nothing; 0 is any.", 0,
           _DAY),
    Option("drain_timeout", "seconds", 30.0, "What streams get to end after SIGTERM.", 0, _DAY),
    Option("retries", "count", 2, "Further upstreams to try, before content only.", 0, 16),
    Option("tell_incomplete", "switch", False,
           "End a stream that never said it is complete with an error."),
    Option("max_streams", "count", 0, "Requests at once, per worker; 0 is any.", 0, 10**6),
    Option("upstream_streams", "count", 0, "Requests at once on one upstream, per worker; 0: any.",
           0, 10**6),
    Option("queue", "count", 100, "Requests that may wait for a place.", 0, 10**6),
    Option("queue_timeout", "seconds", 10.0, "How long one waits.", 0, _HOUR),
    Option("client_buffer", "bytes", 256 << 10, "What waits for a slow client.", 4096, 1 << 30),
    Option("max_body", "bytes", 64 << 20, "The largest request body.", 1024, 1 << 40),
    Option("keys", "text", "", "File of the keys that clients need."),
    Option("upstream_key", "text", "", "Key sent upstream: env:NAME or file:PATH."),
    Option("upstream_cacert", "text", "", "Authority of the upstreams' certificates (PEM)."),
    Option("eject_after", "count", 3, "Failures in a row that set an upstream aside.", 1, 1000),
    Option("eject_time", "seconds", 2.0, "The first time aside; it doubles, up to 60 s.", 0.01,
           60),
    Option("health_interval", "seconds", 0.0, "Time between active checks; 0 is none.", 0, _HOUR),
    Option("health_path", "text", "/health", "What an active check asks for."),
    Option("tls_cert", "text", "", "Certificate of the listener (PEM).", live=False),
    Option("tls_key", "text", "", "Its private key (PEM).", live=False),
    Option("metrics", "choice", "on", "Whether /-/metrics answers.", choices=("on", "off"),
           live=False),
    Option("access_log", "text", "", "File of JSON lines; - is standard output.", live=False),
)  # fmt: skip
"""All but ``upstream``, which may be repeated and in TOML is a table of its own."""

BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}


def read_value(option: Option, given: object) -> Any:
    """A value as TOML has it.

    Raises:
        ValueError: of the wrong type or out of bounds; the text does not repeat the value.
    """
    value = _typed(option, given)
    if value is None:
        raise ValueError(f"takes {option.wants}, not {_type_of(given)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not (math.isfinite(value) and option.low <= value <= option.high):
            raise ValueError(f"takes {option.wants}")
    elif isinstance(value, str) and any(ord(one) < 32 or ord(one) == 127 for one in value):
        raise ValueError("holds a control character")
    return value


def read_text(option: Option, text: str) -> Any:
    """A value as a flag has it; raises as `read_value` does."""
    if option.kind == "texts":
        return read_value(option, [part.strip() for part in text.split(",") if part.strip()])
    if option.kind in {"count", "bytes"} and text.isascii() and text.isdigit() and len(text) < 16:
        return read_value(option, int(text))
    if option.kind in {"seconds", "hedge"}:
        try:
            return read_value(option, float(text))
        except ValueError:
            if option.kind == "seconds":
                raise ValueError(f"takes {option.wants}") from None
    if option.kind in {"count", "bytes"}:
        raise ValueError(f"takes {option.wants}")
    return read_value(option, text)


def _typed(option: Option, given: object) -> Any:
    """``given`` if it has the option's type, made one of its values; else ``None``."""
    number = isinstance(given, int | float) and not isinstance(given, bool)
    kind = option.kind
    if kind == "text":
        return given if isinstance(given, str) else None
    if kind == "switch":
        return given if isinstance(given, bool) else None
    if kind == "texts":
        good = isinstance(given, list) and given and all(isinstance(one, str) for one in given)
        return tuple(given) if good and isinstance(given, list) else None
    if kind == "choice":
        # A switch may be written as one.
        given = {True: "on", False: "off"}.get(given) if isinstance(given, bool) else given
        return given if given in option.choices else None
    if kind == "hedge":
        if given in ("off", "auto"):
            return given
        ok = number and isinstance(given, int | float) and 0 < given <= _HOUR * 1000
        return float(given) if ok and isinstance(given, int | float) else None
    if kind == "seconds":
        return float(given) if number and isinstance(given, int | float) else None
    return given if isinstance(given, int) and not isinstance(given, bool) else None


def _type_of(given: object) -> str:
    names = {bool: "a switch", int: "a number", float: "a number", str: "this text",
             list: "this list", dict: "a table"}  # fmt: skip
    return names.get(type(given), "a date")
