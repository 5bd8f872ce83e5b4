"""Reader for files named in the configuration: CA certificates, API keys, TLS certificates."""

from __future__ import annotations

from pathlib import Path

from undam.errors import UsageError
from undam.gateway.config.config import Config, read_key
from undam.gateway.interfaces import Upstream
from undam.gateway.policy.keys import Key, parse_keys
from undam.gateway.process.tls import listener_context, upstream_context


def check_files(config: Config) -> None:
    """Read every file that ``config`` refers to; raise the same errors as at startup.

    Raises:
        UsageError, ConfigSyntaxError: a file is missing or invalid. The message never contains
            a key.
    """
    make_upstreams(config)
    listener_context(config)
    read_keys(config)
    read_key("upstream_key", config.upstream_key)


def make_upstreams(config: Config) -> list[Upstream]:
    """Return the upstreams of ``config`` with their TLS contexts.

    Raises:
        UsageError: the file of CA certificates is not usable.
    """
    upstreams = []
    for one in config.upstreams:
        target = one.target
        tls = upstream_context(config.upstream_cacert) if target.scheme == "https" else None
        upstreams.append(
            Upstream(
                one.name,
                target.host,
                target.port,
                base_path=target.path.rstrip("/"),
                tls=tls,
                unix_path=one.unix_path,
                max_streams=one.max_streams or config.upstream_streams,
                models=frozenset(one.models),
                priority=one.priority,
            )
        )
    return upstreams


def read_keys(config: Config) -> tuple[Key, ...] | None:
    """Return the API keys that clients may use, or ``None`` if they need none.

    Raises:
        UsageError, ConfigSyntaxError: the file is missing or invalid.
    """
    if not config.keys:
        return None
    try:
        text = Path(config.keys).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UsageError(f"keys {config.keys}: {reason}") from None
    return parse_keys(text, config.keys)


def file_version(path: str) -> tuple[int, int] | None:
    """Return a value that changes when the file changes; ``None`` for an empty path."""
    if not path:
        return None
    try:
        stat = Path(path).stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_ino)
