"""Application-wide defaults for event streams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Literal, TypeAlias, TypedDict, TypeVar, Unpack

from undam.asgi.response.limits import check_limits
from undam.errors import UsageError

Value = TypeVar("Value")


class Default(Enum):
    """Type of `DEFAULT`."""

    DEFAULT = "default"

    def __repr__(self) -> str:
        return "DEFAULT"


DEFAULT: Final = Default.DEFAULT
"""Argument value that selects the application's default (see `set_defaults`)."""

OrDefault: TypeAlias = Value | Literal[Default.DEFAULT]


class DefaultOptions(TypedDict, total=False):
    """Keyword arguments of `set_defaults`."""

    heartbeat: float | None
    buffer_bytes: int
    send_timeout: float | None
    expose_errors: bool
    shutdown_grace: float


@dataclass(frozen=True, slots=True)
class StreamDefaults:
    """Values for arguments that an application does not pass."""

    heartbeat: float | None = 15.0
    buffer_bytes: int = 65536
    send_timeout: float | None = None
    expose_errors: bool = False
    shutdown_grace: float = 0.0


_current = StreamDefaults()


def set_defaults(**options: Unpack[DefaultOptions]) -> StreamDefaults:
    """Change the defaults for all streams created later, and return the previous defaults.

    Call it once, where the application is created. The options have the meaning of the arguments of
    `undam.asgi.EventStream`. There is one more option:

    - ``shutdown_grace``: seconds in which running streams may finish after the server has begun to
      stop. It must be shorter than the server's own limit (docs/servers.md). Default: 0.

    Raises:
        UsageError: a value is out of range.
    """
    global _current
    changed = replace(_current, **options)
    check_limits(changed.heartbeat, changed.send_timeout, changed.buffer_bytes)
    if not 0 <= changed.shutdown_grace < float("inf"):
        raise UsageError("shutdown_grace must be a finite number of seconds, 0 or more")
    earlier, _current = _current, changed
    return earlier


def stream_defaults() -> StreamDefaults:
    """Return the current defaults."""
    return _current


def chosen(value: OrDefault[Value], default: Value) -> Value:
    """Return ``default`` if ``value`` is `DEFAULT`, or else ``value``."""
    return default if isinstance(value, Default) else value
