"""Replay stores, which keep a stream's events so that readers can reconnect."""

import warnings
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "Memory":
        from undam.asgi.replay.memory import MemoryReplay  # noqa: PLC0415 (only for the old name)

        message = "undam.asgi.replay.Memory is deprecated; use undam.asgi.MemoryReplay"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return MemoryReplay
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
