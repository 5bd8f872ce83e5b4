"""Settings of the rules: the enabled rules, and the values used in comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch

from undam.errors import UsageError
from undam.lint.routes import RouteHints

# Interval recommended by WHATWG HTML 9.2.7 and used by undam's own servers.
DEFAULT_HEARTBEAT_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of the rules.

    Args:
        select: codes, prefixes of codes ("NGX", "NGX1") or slugs to enable; empty enables all.
        ignore: codes, prefixes or slugs to disable; applied after ``select``.
        per_file: path pattern -> codes, prefixes or slugs to disable in these files.
        stream_paths: prefixes of the routes that stream. If empty, routes are recognised by path
            and upstream.
        heartbeat_s: interval of the upstream's heartbeats; idle limits are compared with it.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stream_paths: tuple[str, ...] = ()
    heartbeat_s: float = DEFAULT_HEARTBEAT_S

    @property
    def hints(self) -> RouteHints:
        """Settings that affect the classification of routes."""
        return RouteHints(self.stream_paths)

    def is_enabled(self, code: str, slug: str, path: str) -> bool:
        """Return whether a rule is enabled for a file."""
        if self.select and not _matches(code, slug, self.select):
            return False
        if _matches(code, slug, self.ignore):
            return False
        return not any(
            _matches(code, slug, names)
            for pattern, names in self.per_file.items()
            if fnmatch(path, pattern)
        )


def _matches(code: str, slug: str, names: tuple[str, ...]) -> bool:
    return any(code.startswith(name.upper()) or slug == name.lower() for name in names)


def read_settings(table: Mapping[str, object], *, where: str) -> Settings:
    """Read settings from a TOML table (``[tool.undam]``, or the whole of undam.toml).

    Args:
        where: the name of the table in error messages.

    Raises:
        UsageError: a key is unknown or a value is invalid; the message contains the key.
    """
    known = {"select", "ignore", "per-file", "stream", "heartbeat"}
    for key in table:
        if key not in known:
            raise UsageError(f"{where}: unknown setting {key!r}; known: {', '.join(sorted(known))}")
    per_file = table.get("per-file", {})
    if not isinstance(per_file, Mapping):
        raise UsageError(f"{where}: 'per-file' must be a table of pattern = [codes]")
    heartbeat = table.get("heartbeat", DEFAULT_HEARTBEAT_S)
    if isinstance(heartbeat, bool) or not isinstance(heartbeat, int | float) or heartbeat <= 0:
        raise UsageError(f"{where}: 'heartbeat' must be a number of seconds above 0")
    return Settings(
        select=_strings(table.get("select", []), "select", where),
        ignore=_strings(table.get("ignore", []), "ignore", where),
        per_file={
            pattern: _strings(codes, f"per-file.{pattern}", where)
            for pattern, codes in per_file.items()
        },
        stream_paths=_strings(table.get("stream", []), "stream", where),
        heartbeat_s=float(heartbeat),
    )


def _strings(value: object, name: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{where}: {name!r} must be a list of strings")
    return tuple(value)
