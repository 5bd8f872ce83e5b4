"""Settings for the simulator: bounds, and conversion from command-line options and queries."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from undam.errors import UsageError
from undam.timing.distribution import Distribution, constant, parse_distribution

MAX_TOKENS = 100_000
"""Maximum number of tokens, and thus events, per response: twice the limit of today's models."""

MAX_DELAY_MS = 3_600_000
"""Longest single delay: one hour, longer than usual idle timeouts."""

MAX_EVENT_BYTES = 1 << 20
"""Maximum size of an event; readers have the same limit."""

# RFC 9110, 5.6.2 and 5.5. Control characters in a value could add lines to the head.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\x80-\xff\t]*")
_FRAMING_HEADERS = {"content-length", "transfer-encoding", "connection"}


_TTFT, _GAP, _TOKENS, _BURST = constant(200), constant(25), constant(120), constant(1)


class BodyFraming(StrEnum):
    """Way to mark the end of a streamed body."""

    CHUNKED = "chunked"
    CLOSE = "close"
    LENGTH = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """Settings for a simulator; the defaults are those of `undam sim`.

    Args:
        ttft: milliseconds from the request to the first content.
        gap: milliseconds between tokens (with ``burst``: between bursts).
        tokens: tokens per response; at least 1, at most `MAX_TOKENS`.
        tokens_per_event: tokens per event, which is due after as many gaps.
        burst: events that are sent together, as from a speculative decoder.
        event_bytes: size to which content events are padded; ``None`` adds no padding.
        heartbeat_s: seconds of silence after which a comment is sent; 0 sends none.
        stall_after: content events before the stall of ``stall_ms``; ``None`` for no stall.
        die_after: content events after which the connection is closed early.
        headers: headers of streams; they replace defaults of the same name.
        headers_late: send the response head together with the first bytes of the body.
        truth: file for the ground truth.

    Raises:
        UsageError: a value is out of bounds, or two values contradict each other.
    """

    host: str = "127.0.0.1"
    port: int = 0
    ttft: Distribution = _TTFT
    gap: Distribution = _GAP
    tokens: Distribution = _TOKENS
    tokens_per_event: int = 1
    burst: Distribution = _BURST
    event_bytes: int | None = None
    heartbeat_s: float = 0
    stall_after: int | None = None
    stall_ms: float = 0
    die_after: int | None = None
    framing: BodyFraming = BodyFraming.CHUNKED
    headers: tuple[tuple[str, str], ...] = ()
    headers_late: bool = False
    truth: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _within("port", self.port, 0, 65535)
        _within("tokens-per-event", self.tokens_per_event, 1, MAX_TOKENS)
        _within("event-bytes", self.event_bytes, 1, MAX_EVENT_BYTES)
        _within("heartbeat", self.heartbeat_s, 0, MAX_DELAY_MS / 1000)
        _within("stall-after", self.stall_after, 0, MAX_TOKENS)
        _within("stall", self.stall_ms, 0, MAX_DELAY_MS)
        _within("die-after", self.die_after, 0, MAX_TOKENS)
        if self.heartbeat_s and self.framing is BodyFraming.LENGTH:
            raise UsageError("--heartbeat cannot be combined with --framing length")
        for name, value in self.headers:
            _check_header(name, value)


def parse_header(text: str) -> tuple[str, str]:
    """Split ``'K: V'`` into name and value; raise UsageError if there is no colon."""
    name, colon, value = text.partition(":")
    if not colon:
        raise UsageError(f"header {text[:80]!r} has no colon; use 'Name: value'")
    return name.strip(), value.strip(" \t")


def with_options(
    settings: SimulatorSettings, pairs: Iterable[tuple[str, str]]
) -> SimulatorSettings:
    """Return ``settings`` with the given command-line or query options applied.

    Unknown names are ignored, since a query may contain others.

    Raises:
        UsageError: the value of an option is invalid.
    """
    changes: dict[str, object] = {}
    for name, text in pairs:
        if name in _STREAM_OPTIONS:
            field, read = _STREAM_OPTIONS[name]
            try:
                changes[field] = read(text)
            except UsageError as error:
                raise UsageError(f"{name}: {error}") from None
    return replace(settings, **changes) if changes else settings  # type: ignore[arg-type]


def _within(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise UsageError(f"{name} must be from {low:g} to {high:g}, not {value!r}")


def _check_header(name: str, value: str) -> None:
    if not _HEADER_NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} is not a valid header name")
    if not _HEADER_VALUE.fullmatch(value):
        raise UsageError(f"the value of header {name} contains a line break or control character")
    if name.lower() in _FRAMING_HEADERS:
        raise UsageError(f"header {name} is set by the framing: use --framing")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise UsageError(f"{text[:40]!r} is not a whole number")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{text[:40]!r} is not a number")
    return value


def _framing(text: str) -> BodyFraming:
    try:
        return BodyFraming(text)
    except ValueError:
        raise UsageError(f"{text[:40]!r} is not one of chunked, close, length") from None


_STREAM_OPTIONS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "ttft": ("ttft", parse_distribution),
    "gap": ("gap", parse_distribution),
    "tokens": ("tokens", parse_distribution),
    "tokens_per_event": ("tokens_per_event", _whole),
    "burst": ("burst", parse_distribution),
    "event_bytes": ("event_bytes", _whole),
    "heartbeat": ("heartbeat_s", _number),
    "stall_after": ("stall_after", _whole),
    "stall": ("stall_ms", _number),
    "die_after": ("die_after", _whole),
    "framing": ("framing", _framing),
    "seed": ("seed", _whole),
}
