"""Project settings from the nearest undam.toml or pyproject.toml, possibly overridden."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from undam.errors import UsageError
from undam.lint.files import STDIN, is_excluded, reason
from undam.lint.registry import config_rules
from undam.lint.settings import Settings, read_settings
from undam.rules import RULES
from undam.versions import Version

_UNDAM_TOML = "undam.toml"
_PYPROJECT = "pyproject.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsOverrides:
    """Values that take precedence over a project's settings.

    Args:
        select, stream_paths, heartbeat_s, silence_s: replace the settings of the same name.
        ignore: added to the setting of the same name.
        targets: versions that replace those of the same program.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    stream_paths: tuple[str, ...] = ()
    heartbeat_s: float | None = None
    silence_s: float | None = None
    targets: Mapping[str, Version] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ProjectSettings(Settings):
    """Settings whose path patterns are relative to the folder of the settings file.

    Args:
        folder: folder of the settings file; "" means the working directory.
        exclude: path patterns of files for which nothing is reported, even if they are included.
        file: the settings file; empty if there is none.
    """

    folder: str = ""
    exclude: tuple[str, ...] = ()
    file: str = ""

    @property
    def restrictions(self) -> str:
        """One-line summary of the settings that can hide findings; empty if there are none."""
        per_file = (f"{path}: {' '.join(names)}" for path, names in self.per_file.items())
        parts = [
            f"{name} {', '.join(values)}"
            for name, values in (
                ("select", self.select),
                ("ignore", self.ignore),
                ("ignore for files", tuple(per_file)),
                ("stream", self.stream_paths),
            )
            if values
        ]
        return "; ".join(parts)

    def is_enabled(self, code: str, slug: str, path: str) -> bool:
        """Return whether a rule is enabled for a file."""
        if is_excluded(path, self.exclude):
            return False
        if self.per_file and path != STDIN:
            path = os.path.relpath(os.path.realpath(path), self.folder or None)
        return super().is_enabled(code, slug, path)


class SettingsResolver:
    """Lookup of the settings for each file. Every settings file is read once.

    Args:
        settings: settings for all files; no settings file is read.
        config_file: the settings file for all files.
        exclude: path patterns of files for which nothing is reported.

    Raises:
        UsageError: ``settings`` or ``overrides`` contain a rule that does not exist.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        overrides: SettingsOverrides | None = None,
        *,
        config_file: str | None = None,
        exclude: tuple[str, ...] = (),
    ) -> None:
        self._fixed = None if settings is None else _relative_to(settings, "")
        self._overrides = overrides or SettingsOverrides()
        self._config_file = config_file
        self._exclude = exclude
        self._cache: dict[Path, ProjectSettings] = {}
        # For each settings file, a summary of those settings that can hide findings.
        self.restrictions: dict[str, str] = {}
        if settings is not None:
            require_known_rules(_rule_names(settings), "settings")
        require_known_rules((*self._overrides.select, *self._overrides.ignore), "overrides")

    def settings_for(self, path: str) -> ProjectSettings:
        """Return the settings for a file.

        Each folder, from that of the file upwards, is searched for undam.toml and then for a
        pyproject.toml with a table [tool.undam]. For standard input, the search starts in the
        working directory.

        Raises:
            UsageError: a settings file is invalid; the message contains the file and the key.
        """
        if self._fixed is not None:
            return self._override(self._fixed)
        if self._config_file is not None:
            folder = Path(self._config_file)
        else:
            folder = Path.cwd() if path == STDIN else Path(os.path.realpath(path)).parent
        if folder not in self._cache:
            found = self._read(folder)
            if found.restrictions:
                self.restrictions[found.file] = found.restrictions
            self._cache[folder] = self._override(found)
        return self._cache[folder]

    def _read(self, folder: Path) -> ProjectSettings:
        if self._config_file is not None:
            found = _settings_in(folder)
            if found is None:
                raise UsageError(f"{folder}: has no table [tool.undam]")
            return found
        for here in (folder, *folder.parents):
            for name in (_UNDAM_TOML, _PYPROJECT):
                if (here / name).is_file():
                    found = _settings_in(here / name)
                    if found is not None:
                        return found
        return ProjectSettings()

    def _override(self, settings: ProjectSettings) -> ProjectSettings:
        overrides = self._overrides
        return replace(
            settings,
            select=overrides.select or settings.select,
            ignore=(*settings.ignore, *overrides.ignore),
            exclude=self._exclude,
            stream_paths=overrides.stream_paths or settings.stream_paths,
            heartbeat_s=(
                settings.heartbeat_s if overrides.heartbeat_s is None else overrides.heartbeat_s
            ),
            silence_s=settings.silence_s if overrides.silence_s is None else overrides.silence_s,
            targets={**settings.targets, **overrides.targets},
        )


def _settings_in(file: Path) -> ProjectSettings | None:
    """Read a settings file. Return ``None`` for a pyproject.toml without a [tool.undam] table."""
    name = os.path.relpath(file)
    where = str(file) if name.startswith("..") else name
    try:
        table: object = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{where}: cannot be read ({reason(error)})") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where}: is not TOML: {error}") from None
    if file.name == _PYPROJECT:
        for key in ("tool", "undam"):
            table = table.get(key) if isinstance(table, Mapping) else None
        if table is None:
            return None
        where = f"{where} [tool.undam]"
    if not isinstance(table, Mapping):
        raise UsageError(f"{where}: must be a table")
    settings = read_settings(table, where=where)
    require_known_rules(_rule_names(settings), where)
    return replace(_relative_to(settings, str(file.resolve().parent)), file=where)


def _relative_to(settings: Settings, folder: str) -> ProjectSettings:
    values = {one.name: getattr(settings, one.name) for one in fields(settings)}
    return ProjectSettings(**{**values, "folder": folder})


def _rule_names(settings: Settings) -> list[str]:
    per_file = (name for names in settings.per_file.values() for name in names)
    return [*settings.select, *settings.ignore, *per_file]


def require_known_rules(names: Iterable[str], where: str) -> None:
    """Check that every name is a rule code, the beginning of a rule code, or a slug.

    Otherwise, a misspelt name would silently disable every rule.

    Raises:
        UsageError: a name is unknown; the message suggests the most similar one.
    """
    rules = [*config_rules(), *RULES]
    codes = {rule.code for rule in rules}
    slugs = {rule.slug for rule in rules}
    for name in names:
        is_prefix = bool(name) and any(code.startswith(name.upper()) for code in codes)
        if not is_prefix and name.lower() not in slugs:
            raise UsageError(
                f"{where}: there is no rule {name[:80]!r}; {_hint(name, codes | slugs)}"
            )


def _hint(name: str, known: Iterable[str]) -> str:
    names = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f"did you mean {names[near[0]]}?" if near else "`undam rules` lists all rules"
