"""Settings of lint and fix: those of the nearest file of settings, with flags over them."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from undam.errors import UsageError
from undam.lint import Settings, config_rules, read_settings
from undam.lint.files import STDIN, is_excluded, reason
from undam.rules import RULES

_OWN = "undam.toml"
_SHARED = "pyproject.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the command line says; it goes before the settings of files.

    Args:
        config: the one file of settings to take; otherwise the nearest.
        ignore: added to the settings' own; the others take their place.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    stream: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    heartbeat_s: float | None = None
    config: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlacedSettings(Settings):
    """Settings whose patterns of paths start from the folder of their file.

    Args:
        folder: of the file; "" where there is none, and patterns start from the working directory.
        exclude: patterns of files of which nothing is told, not even where another includes them.
    """

    folder: str = ""
    exclude: tuple[str, ...] = ()

    def is_enabled(self, code: str, slug: str, path: str) -> bool:
        """Whether a rule applies to a file."""
        if is_excluded(path, self.exclude):
            return False
        if self.per_file and path != STDIN:
            path = os.path.relpath(os.path.realpath(path), self.folder or None)
        return super().is_enabled(code, slug, path)


class SettingsFinder:
    """Gives each file its settings; every file of settings is read once."""

    def __init__(self, flags: Flags) -> None:
        _require_known([*flags.select, *flags.ignore], "--select/--ignore")
        self._flags = flags
        self._found: dict[Path, PlacedSettings] = {}

    def of(self, path: str) -> PlacedSettings:
        """Settings for a file: from its folder upwards, undam.toml before a pyproject.toml with a
        table [tool.undam]; for standard input from the working directory upwards.

        Raises:
            UsageError: a file of settings is wrong; names it and the key.
        """
        if self._flags.config is not None:
            folder = Path(self._flags.config)
        else:
            folder = Path.cwd() if path == STDIN else Path(os.path.realpath(path)).parent
        if folder not in self._found:
            self._found[folder] = self._under_flags(self._read(folder))
        return self._found[folder]

    def _read(self, folder: Path) -> PlacedSettings:
        if self._flags.config is not None:
            found = _settings_in(folder)
            if found is None:
                raise UsageError(f"{folder}: has no table [tool.undam]")
            return found
        for here in (folder, *folder.parents):
            for name in (_OWN, _SHARED):
                if (here / name).is_file():
                    found = _settings_in(here / name)
                    if found is not None:
                        return found
        return PlacedSettings()

    def _under_flags(self, settings: PlacedSettings) -> PlacedSettings:
        flags = self._flags
        return replace(
            settings,
            select=flags.select or settings.select,
            ignore=(*settings.ignore, *flags.ignore),
            exclude=flags.exclude,
            stream_paths=flags.stream or settings.stream_paths,
            heartbeat_s=settings.heartbeat_s if flags.heartbeat_s is None else flags.heartbeat_s,
        )


def _settings_in(file: Path) -> PlacedSettings | None:
    """What a file sets; ``None`` for a pyproject.toml without a table of ours."""
    name = os.path.relpath(file)
    place = str(file) if name.startswith("..") else name
    try:
        table: object = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{place}: cannot be read ({reason(error)})") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{place}: is not TOML: {error}") from None
    if file.name == _SHARED:
        for key in ("tool", "undam"):
            table = table.get(key) if isinstance(table, Mapping) else None
        if table is None:
            return None
        place = f"{place} [tool.undam]"
    if not isinstance(table, Mapping):
        raise UsageError(f"{place}: must be a table")
    settings = read_settings(table, where=place)
    listed = [*settings.select, *settings.ignore]
    _require_known([*listed, *(one for many in settings.per_file.values() for one in many)], place)
    values = {one.name: getattr(settings, one.name) for one in fields(settings)}
    return PlacedSettings(**values, folder=str(file.resolve().parent))


def _require_known(names: Iterable[str], place: str) -> None:
    """Refuse a name that no rule has: with a slip of the pen nothing would be told at all."""
    rules = [*config_rules(), *RULES]
    codes = {rule.code for rule in rules}
    slugs = {rule.slug for rule in rules}
    for name in names:
        begins = bool(name) and any(code.startswith(name.upper()) for code in codes)
        if not begins and name.lower() not in slugs:
            raise UsageError(
                f"{place}: no rule is called {name[:80]!r}; {_hint(name, codes | slugs)}"
            )


def _hint(name: str, known: Iterable[str]) -> str:
    names = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f"nearest: {names[near[0]]}" if near else "`undam rules` lists all"
