"""The knobs of the simulator: what may be set, within which bounds, and from which texts."""

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
"""Tokens, and so events, of one answer: twice the longest answer of today's models."""

MAX_DELAY_MS = 3_600_000
"""The longest single wait, one hour: no idle limit on a path is longer."""

MAX_EVENT_BYTES = 1 << 20
"""The largest event; readers bound theirs at this size, too."""

# RFC 9110, 5.6.2 and 5.5. A control character would let a value add lines of its own to the head.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\x80-\xff\t]*")
_FRAMING_HEADERS = {"content-length", "transfer-encoding", "connection"}


_TTFT, _GAP, _TOKENS, _BURST = constant(200), constant(25), constant(120), constant(1)


class Framing(StrEnum):
    """How a streamed body says where it ends."""

    CHUNKED = "chunked"
    CLOSE = "close"
    LENGTH = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """What the simulator does; every value has the default of `undam sim`.

    Args:
        ttft: milliseconds from the request to the first content.
        gap: milliseconds between tokens (with ``burst``: between bursts).
        tokens: tokens of one answer; at least 1, at most `MAX_TOKENS`.
        tokens_per_event: tokens in one event, which then comes after as many gaps.
        burst: events that leave together, as from a speculative decoder.
        event_bytes: size of a content event; ``None`` is as it comes.
        heartbeat_s: seconds of silence before a comment is sent; 0 is never.
        stall_after: content events before the one stall of ``stall_ms``; ``None`` is no stall.
        die_after: content events after which the connection is closed unfinished.
        headers: of streams; a name given here replaces the default of that name.
        headers_late: send the response head only with the first bytes of the body.

    Raises:
        UsageError: a value out of its bounds, or two that do not go together.
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
    framing: Framing = Framing.CHUNKED
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
        if self.heartbeat_s and self.framing is Framing.LENGTH:
            raise UsageError("heartbeats cannot be counted in advance: not with --framing length")
        for name, value in self.headers:
            _check_header(name, value)


def parse_header(text: str) -> tuple[str, str]:
    """``'K: V'`` as name and value; raises UsageError without a colon."""
    name, colon, value = text.partition(":")
    if not colon:
        raise UsageError(f"header {text[:80]!r} has no colon: write 'Name: value'")
    return name.strip(), value.strip(" \t")


def with_options(
    settings: SimulatorSettings, pairs: Iterable[tuple[str, str]]
) -> SimulatorSettings:
    """``settings`` with the knobs of streams that a command line or a query names.

    Names that are no knob are left alone, as a query has others, too.

    Raises:
        UsageError: a knob whose text cannot be used.
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
        raise UsageError(f"{name} {value!r}: from {low:g} to {high:g}")


def _check_header(name: str, value: str) -> None:
    if not _HEADER_NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} is no header name")
    if not _HEADER_VALUE.fullmatch(value):
        raise UsageError(f"the value of header {name} holds a line break or a control character")
    if name.lower() in _FRAMING_HEADERS:
        raise UsageError(f"header {name} belongs to the framing: use --framing")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise UsageError(f"{text[:40]!r} is no whole number")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{text[:40]!r} is no number")
    return value


def _framing(text: str) -> Framing:
    try:
        return Framing(text)
    except ValueError:
        raise UsageError(f"{text[:40]!r} is none of chunked, close, length") from None


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
