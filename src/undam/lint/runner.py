"""Lints the files that paths name: each once, and included ones with what includes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from undam.errors import ConfigSyntaxError
from undam.lint import (
    Diagnostic,
    Dialect,
    LintResult,
    Source,
    UnreadPart,
    dialect_named,
    lint_source,
    recognise_dialect,
)
from undam.lint.files import Candidate, ConfigFiles, Problem, find_candidates, reason
from undam.lint.includes import Includes
from undam.lint.project_settings import Flags, PlacedSettings, SettingsFinder
from undam.rules import Severity

_T = TypeVar("_T")

Tell = Callable[[str, int, int], None]
"""``(path, files done, files in all)``."""

_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
_TOO_LARGE = "is larger than 1 MB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What lint and fix are asked for.

    Args:
        dialect: in which named files are read; in folders only files of this one are taken.
        skip_unknown: let a named file of no known dialect be, as one in a folder.
    """

    paths: tuple[str, ...]
    dialect: str | None = None
    skip_unknown: bool = False
    flags: Flags = field(default_factory=Flags)

    @property
    def folders(self) -> list[str]:
        return [path for path in self.paths if Path(path).is_dir()]


@dataclass(frozen=True)
class Root:
    """A file that was linted, with all that it includes."""

    path: str
    dialect: Dialect
    settings: PlacedSettings
    linted: LintResult
    refused: tuple[UnreadPart, ...] = ()

    @property
    def files(self) -> list[str]:
        return [self.path, *(one.path for one in self.linted.included)]


@dataclass
class Report:
    """What came of a run.

    Args:
        roots: the files whose findings are told. One that another includes is no root, so that
            it is judged where it stands in force.
        mistakes: each once, by path and place.
        dialects: by path, what each mistake's file is written in.
    """

    files: ConfigFiles
    roots: list[Root] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    unread: list[UnreadPart] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    dialects: dict[str, Dialect] = field(default_factory=dict)

    @property
    def has_findings(self) -> bool:
        """Whether there is an error or a warning."""
        return any(one.severity is not Severity.INFO for one in self.diagnostics)

    def source(self, diagnostic: Diagnostic) -> Source:
        """The text that a mistake stands in."""
        return self.files.source(diagnostic.path)


def lint_files(request: Request, tell: Tell = lambda _path, _done, _all: None) -> Report:
    """Lint all files of a request.

    Raises:
        UsageError: the request or a file of settings makes no sense.
    """
    settings = SettingsFinder(request.flags)
    candidates, problems = find_candidates(request.paths, request.flags.exclude)
    files = ConfigFiles()
    report = Report(files, problems=problems)
    for one in candidates:
        files.call(one.path)
    roots: list[Root] = []
    for done, one in enumerate(candidates):
        tell(one.path, done, len(candidates))
        dialect = _dialect(one, request, report)
        if dialect is None:
            files.forget(one.path)
            continue
        root = _lint(one.path, dialect, settings.of(one.path), report, request.folders)
        if root is not None:
            roots.append(root)
    report.roots = _outermost(roots)
    _merge(report)
    return report


def _dialect(one: Candidate, request: Request, report: Report) -> Dialect | None:
    """What a file is written in; ``None`` where it is not to be linted, told where it was named."""
    try:
        text = report.files.read(one.path)
    except (OSError, ValueError) as error:
        report.problems.append(Problem(one.path, reason(error)))
        return None
    wanted = dialect_named(request.dialect) if request.dialect else None
    found = wanted if one.named and wanted else recognise_dialect(one.path, text.text)
    if not text.is_text:
        if one.named and not request.skip_unknown:
            report.problems.append(Problem(one.path, "is not text"))
        return None
    if found is None:
        if one.named and not request.skip_unknown:
            what = "no dialect that undam knows; name one with --dialect"
            report.problems.append(Problem(one.path, what))
        return None
    if wanted is not None and found is not wanted:
        return None
    if text.is_too_large:
        if one.named:
            report.problems.append(Problem(one.path, _TOO_LARGE))
        else:
            report.unread.append(UnreadPart(one.path, 1, f"the file, which {_TOO_LARGE}"))
        return None
    return found


def _lint(
    path: str, dialect: Dialect, settings: PlacedSettings, report: Report, folders: Sequence[str]
) -> Root | None:
    source = report.files.source(path)
    open_include = Includes(report.files, path, folders)
    try:
        linted = lint_source(dialect, source, settings, open_include)
    except ConfigSyntaxError as error:
        message = str(error).removeprefix(f"{error.path}:{error.line}:{error.column}: ")
        report.problems.append(Problem(error.path, message, error.line, error.column))
        return None
    except RecursionError:
        report.problems.append(Problem(path, "is nested too deeply to be read"))
        return None
    refused = open_include.unread([source, *linted.included])
    return Root(path, dialect, settings, linted, tuple(refused))


def _outermost(roots: list[Root]) -> list[Root]:
    """Those that no other includes, and the first of those that include each other."""
    inside = {path for root in roots for path in root.files[1:] if path != root.path}
    kept = {root.path: root for root in roots if root.path not in inside}
    reached = {path for root in kept.values() for path in root.files}
    for root in roots:
        if root.path not in reached:
            kept[root.path] = root
            reached |= set(root.files)
    return [root for root in roots if root.path in kept]


def _merge(report: Report) -> None:
    """Bring together what the roots found; of what two say of one place the worse is kept."""
    places: dict[tuple[str, int, int, str], Diagnostic] = {}
    for root in report.roots:
        for one in root.linted.diagnostics:
            key = (one.path, one.line, one.column, one.rule.code)
            known = places.get(key)
            if known is None or _RANK[one.severity] < _RANK[known.severity]:
                places[key] = one
        for path in root.files:
            report.dialects.setdefault(path, root.dialect)
        report.unread += [*root.linted.unread, *root.refused]
    report.diagnostics = sorted(places.values(), key=_place)
    report.unread = sorted(_once(report.unread), key=lambda one: (one.path, one.line))
    report.problems = _once(report.problems)


def _place(one: Diagnostic) -> tuple[str, int, int, str]:
    return one.path.replace(os.sep, "\0"), one.line, one.column, one.rule.code


def _once(values: Iterable[_T]) -> list[_T]:
    return list(dict.fromkeys(values))
