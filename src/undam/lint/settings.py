"""What the user sets for lint and fix, from flags, undam.toml or pyproject.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch

from undam.errors import UsageError
from undam.lint.routes import RouteHints

# The interval that WHATWG HTML 9.2.7 advises and undam's own servers use.
DEFAULT_HEARTBEAT_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of lint and fix.

    Args:
        select: codes or beginnings of codes ("NGX", "NGX1"); empty selects all.
        ignore: the same, taken out again.
        per_file: glob of paths -> codes that do not apply there.
        stream_paths: prefixes of the routes that stream; empty: told by their looks.
        heartbeat_s: how often the servers behind send a heartbeat; limits are judged by it.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stream_paths: tuple[str, ...] = ()
    heartbeat_s: float = DEFAULT_HEARTBEAT_S

    @property
    def hints(self) -> RouteHints:
        """What they say of the routes."""
        return RouteHints(self.stream_paths)

    def wants(self, code: str, slug: str, path: str) -> bool:
        """Whether a rule applies to a file."""
        if self.select and not _named(code, slug, self.select):
            return False
        if _named(code, slug, self.ignore):
            return False
        return not any(
            _named(code, slug, codes)
            for pattern, codes in self.per_file.items()
            if fnmatch(path, pattern)
        )


def _named(code: str, slug: str, names: tuple[str, ...]) -> bool:
    return any(code.startswith(name.upper()) or slug == name.lower() for name in names)


def read_settings(table: Mapping[str, object], *, place: str) -> Settings:
    """Settings from a TOML table (``[tool.undam]``, or the whole of undam.toml).

    Args:
        place: what to call it in errors.

    Raises:
        UsageError: a wrong key or value; names it.
    """
    known = {"select", "ignore", "per-file", "stream", "heartbeat"}
    for key in table:
        if key not in known:
            raise UsageError(f"{place}: unknown setting {key!r}; known: {', '.join(sorted(known))}")
    per_file = table.get("per-file", {})
    if not isinstance(per_file, Mapping):
        raise UsageError(f"{place}: 'per-file' must be a table of pattern = [codes]")
    heartbeat = table.get("heartbeat", DEFAULT_HEARTBEAT_S)
    if isinstance(heartbeat, bool) or not isinstance(heartbeat, int | float) or heartbeat <= 0:
        raise UsageError(f"{place}: 'heartbeat' must be a number of seconds above 0")
    return Settings(
        select=_strings(table.get("select", []), "select", place),
        ignore=_strings(table.get("ignore", []), "ignore", place),
        per_file={
            pattern: _strings(codes, f"per-file.{pattern}", place)
            for pattern, codes in per_file.items()
        },
        stream_paths=_strings(table.get("stream", []), "stream", place),
        heartbeat_s=float(heartbeat),
    )


def _strings(value: object, name: str, place: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{place}: {name!r} must be a list of strings")
    return tuple(value)
