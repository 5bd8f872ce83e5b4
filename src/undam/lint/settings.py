"""Settings for rules: which rules are enabled, and the values that rules use in comparisons."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch

from undam.errors import UsageError
from undam.lint.evidence.names import address_of
from undam.lint.evidence.neighbours import NO_NEIGHBOURS, Neighbours
from undam.lint.evidence.profile import ServiceRole
from undam.lint.limits import DEFAULT_SILENCE_S, ExpectedSilence
from undam.lint.routes import RouteHints
from undam.versions import Version

_KEYS = ("heartbeat", "ignore", "per-file", "select", "silence", "stream", "target")
TARGETS = (
    "apache", "caddy", "django", "envoy", "envoy-gateway", "haproxy", "ingress-nginx", "lighttpd",
    "nginx", "squid", "starlette", "traefik", "trafficserver", "varnish",
)  # fmt: skip
"""Programs and frameworks whose version can be stated. A dialect is looked up by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings for the rules.

    Args:
        select: codes, prefixes of codes ("NGX", "NGX1") or slugs to enable; empty enables all.
        ignore: codes, prefixes or slugs to disable; applied after ``select``.
        per_file: path pattern -> codes, prefixes or slugs to disable in these files.
        stream_paths: prefixes of the routes that stream. If empty, the evidence in the
            configuration and beside it decides.
        heartbeat_s: interval of the upstream's heartbeats; 0 states that there are none, and
            ``None`` that none are known.
        silence_s: longest expected silence; idle limits are compared with it, unless heartbeats
            are known.
        targets: versions of the programs that run the configurations, by dialect.
        neighbours: evidence in the files beside a configuration.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stream_paths: tuple[str, ...] = ()
    heartbeat_s: float | None = None
    silence_s: float = DEFAULT_SILENCE_S
    targets: Mapping[str, Version] = field(default_factory=dict)
    neighbours: Neighbours = NO_NEIGHBOURS

    @property
    def silence(self) -> ExpectedSilence:
        """Idle period with which idle timeouts are compared."""
        known = self.neighbours.heartbeat_s if self.heartbeat_s is None else self.heartbeat_s
        return ExpectedSilence(self.silence_s, known)

    def silence_for(self, upstreams: Iterable[str]) -> ExpectedSilence:
        """Return the idle period that a route to these servers must survive.

        If an engine beside the configuration is among them, only its own command counts.
        """
        if self.heartbeat_s is not None:
            return self.silence
        services = self.neighbours.services
        behind = {address_of(one).host for one in upstreams} & set(services)
        intervals = [
            services[name].heartbeat_s
            for name in behind
            if (profile := services[name].profile) and profile.role is ServiceRole.ENGINE
        ]
        known = [one for one in intervals if one is not None]
        if not known:
            return self.silence
        return ExpectedSilence(self.silence_s, max(known) if all(known) else None)

    @property
    def hints(self) -> RouteHints:
        """Hints for rules that compare routes. These hints do not include a file name."""
        return RouteHints(self.stream_paths, neighbours=self.neighbours)

    def hints_for(self, path: str) -> RouteHints:
        """Return the hints about a file's routes that come from outside the file."""
        return RouteHints(self.stream_paths, path, self.neighbours)

    def target(self, program: str) -> Version | None:
        """Return the version of a program; ``None`` if unknown."""
        return self.targets.get(program) or self.neighbours.targets.get(program)

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
    """Read settings from a TOML table: ``[tool.undam]``, or the whole undam.toml.

    Args:
        where: the name of the table in error messages.

    Raises:
        UsageError: a key is unknown or a value is invalid; the message contains the key.
    """
    for key in table:
        if key not in _KEYS:
            raise UsageError(f"{where}: unknown setting {key!r}; known: {', '.join(_KEYS)}")
    per_file = table.get("per-file", {})
    if not isinstance(per_file, Mapping):
        raise UsageError(f"{where}: 'per-file' must be a table of pattern = [codes]")
    targets = table.get("target", {})
    if not isinstance(targets, Mapping):
        raise UsageError(f"{where}: 'target' must be a table of program = \"version\"")
    return Settings(
        select=_strings(table.get("select", []), "select", where),
        ignore=_strings(table.get("ignore", []), "ignore", where),
        per_file={
            pattern: _strings(codes, f"per-file.{pattern}", where)
            for pattern, codes in per_file.items()
        },
        stream_paths=_strings(table.get("stream", []), "stream", where),
        heartbeat_s=_seconds(table, "heartbeat", where) if "heartbeat" in table else None,
        silence_s=_seconds(table, "silence", where) if "silence" in table else DEFAULT_SILENCE_S,
        targets={
            name: read_target(name, version, where=f"{where}: 'target'")
            for name, version in targets.items()
        },
    )


def read_target(name: str, version: object, *, where: str) -> Version:
    """Return the program version that the user stated.

    Raises:
        UsageError: the program is unknown, or the version is not a number such as 1.30.
    """
    if name not in TARGETS:
        raise UsageError(f"{where}: {name[:80]!r} has no versions; known: {', '.join(TARGETS)}")
    found = Version.parse(version) if isinstance(version, str) else None
    if found is None:
        raise UsageError(f'{where}: {name} needs a version in quotes, for instance "1.30"')
    return found


def _seconds(table: Mapping[str, object], name: str, where: str) -> float:
    value = table[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:  # type: ignore[arg-type, operator]
        raise UsageError(f"{where}: {name!r} must be a number of seconds, at least 0")
    return float(value)  # type: ignore[arg-type]


def _strings(value: object, name: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{where}: {name!r} must be a list of strings")
    return tuple(value)
