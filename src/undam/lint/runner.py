"""Linting and fixing of files and folders: the public API of `undam.lint`.

Each file is linted once. An included file is linted with the file that includes it, because the
settings of the outer file are in force inside.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from undam.errors import ConfigSyntaxError, MissingExtra, UsageError
from undam.lint.chain import chains_of
from undam.lint.diagnostics import Diagnostic
from undam.lint.dialect import Dialect, LintResult
from undam.lint.discovery.checkers import has_checker, rejection
from undam.lint.discovery.embedded_configs import find_embedded
from undam.lint.discovery.passed_over import NO_DIALECT, PassedOver, is_schema, kind_of_deployment
from undam.lint.discovery.surroundings import Surroundings, header_targets
from undam.lint.engine import fix_sources, lint_source
from undam.lint.files import (
    STDIN,
    Candidate,
    ConfigFiles,
    FileUse,
    Problem,
    decode,
    find_candidates,
    reason,
)
from undam.lint.includes import IncludeBudget, Includes
from undam.lint.project_settings import ProjectSettings, SettingsResolver
from undam.lint.registry import dialect_named, recognise_dialects, recognise_program
from undam.lint.replace_file import replace_text
from undam.lint.reports import FileChange, FixReport, LintOptions, LintReport
from undam.lint.settings import Settings
from undam.rules import Severity
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.templates import (
    has_placeholders,
    is_template_name,
    region_source,
    rendered_name,
    template_source,
)

_T = TypeVar("_T")

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""One or more paths; "-" is standard input."""

ProgressCallback = Callable[[str, int, int], None]
"""Called before each file with its path, the number of files done, and the total number."""

_YAML_LINE = re.compile(
    r"^(?:apiVersion|kind|services|static_resources|spec|metadata|http|entryPoints)[ \t]*:"
    r"(?:[ \t]|\r?$)"
    r"|^---[ \t]*\r?$",
    re.MULTILINE,
)

_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


def lint_paths(
    paths: Paths,
    settings: Settings | None = None,
    *,
    options: LintOptions | None = None,
    on_progress: ProgressCallback | None = None,
) -> LintReport:
    """Lint files and folders, and return a report.

    Args:
        paths: files, folders with all files below them, or "-" for standard input.
        settings: settings for all files. By default, each file has the settings of the nearest
            undam.toml or pyproject.toml, from its folder upwards.

    Raises:
        UsageError: an option or a settings file is invalid.
    """
    run = _LintRun(paths, settings, options or LintOptions())
    run.lint(on_progress)
    return run.report()


def fix_paths(
    paths: Paths,
    settings: Settings | None = None,
    *,
    options: LintOptions | None = None,
    unsafe: bool = False,
    write: bool = False,
    on_progress: ProgressCallback | None = None,
) -> FixReport:
    """Lint files and folders and apply the fixes, either in memory or to the files.

    Args:
        paths: files, folders with all files below them, or "-" for standard input.
        settings: as for `lint_paths`.
        unsafe: also apply fixes that change more than streaming.
        write: write the changed files; standard input is never written.

    Raises:
        UsageError: an option or a settings file is invalid.
    """
    run = _LintRun(paths, settings, options or LintOptions())
    run.lint(on_progress)
    report = run.report()
    changes = run.fix(unsafe=unsafe)
    if write:
        accepted = run.accepted_configurations(changes)
        changes = [run.write(change) for change in changes]
        changes = run.restore_rejected(changes, accepted)
    return FixReport(lint=report, changes=tuple(changes), problems=tuple(_once(run.problems)))


@dataclass(frozen=True)
class _LintedFile:
    """A configuration that was linted, and the files that it includes.

    Args:
        region: offsets of a configuration inside the file; ``None`` if it is the whole file.
    """

    path: str
    dialect: Dialect
    settings: ProjectSettings
    result: LintResult
    unopened: tuple[UnreadPart, ...]
    region: tuple[int, int] | None = None

    @property
    def files(self) -> list[str]:
        return [self.path, *(one.path for one in self.result.included)]

    def view(self, outer: Source) -> Source:
        """Return the configuration's text, cut from the current text of its file."""
        return outer if self.region is None else region_source(outer, *self.region)


class _LintRun:
    """A lint run over files and folders, optionally with fixes."""

    def __init__(self, paths: Paths, settings: Settings | None, options: LintOptions) -> None:
        self._paths = _path_list(paths)
        self._folders = [path for path in self._paths if Path(path).is_dir()]
        self._options = options
        self._dialect = None if options.dialect is None else dialect_named(options.dialect)
        self._settings = SettingsResolver(
            settings,
            options.overrides,
            config_file=options.config_file,
            exclude=options.exclude,
        )
        self._texts = ConfigFiles()
        self._surroundings = Surroundings(self._texts, self._folders)
        self._include_budget = IncludeBudget()
        self._linted: list[_LintedFile] = []
        self._dialects: dict[str, Dialect] = {}
        self._unread: list[UnreadPart] = []
        self._passed_over: list[PassedOver] = []
        self.problems: list[Problem] = []

    def lint(self, on_progress: ProgressCallback | None) -> None:
        """Lint every candidate. Keep the results for files that no other file includes."""
        candidates, self.problems, unreadable = find_candidates(
            self._paths, self._options.exclude, markdown=self._options.markdown
        )
        for problem in unreadable:
            self._note_unreadable(problem)
        for candidate in candidates:
            self._texts.register(candidate.path)
        linted: list[_LintedFile] = []
        included: set[str] = set()
        skipped: list[Candidate] = []
        for done, candidate in enumerate(candidates):
            if on_progress is not None:
                on_progress(candidate.path, done, len(candidates))
            if candidate.path in included:
                # The file was linted with the file that includes it. Without this check, files that
                # include each other would be linted many times.
                skipped.append(candidate)
                continue
            found = self._lint_candidate(candidate)
            if not found:
                self._texts.discard(candidate.path)
            linted += found
            included |= {path for one in found for path in one.files}
        self._linted = _outermost(linted)
        reached = {path for one in self._linted for path in one.files}
        for candidate in skipped:
            if candidate.path not in reached:
                self._linted += self._lint_candidate(candidate)
        for one in self._linted:
            for path in one.files:
                self._dialects.setdefault(path, one.dialect)

    def report(self) -> LintReport:
        """Merge the results. If a rule fired twice at one position, keep the more severe one."""
        merged: dict[tuple[str, int, int, str], Diagnostic] = {}
        unread = list(self._unread)
        for linted in self._linted:
            for one in linted.result.diagnostics:
                key = _sort_key(one)
                known = merged.get(key)
                if known is None or _RANK[one.severity] < _RANK[known.severity]:
                    merged[key] = one
            unread += [*linted.result.unread, *linted.unopened]
        routes = _once(route for linted in self._linted for route in linted.result.routes)
        read = {path for linted in self._linted for path in linted.files}
        passed_over = [one for one in self._passed_over if one.path not in read]
        return LintReport(
            diagnostics=tuple(merged[key] for key in sorted(merged)),
            files=tuple(sorted(self._dialects)),
            unread=tuple(sorted(_once(unread), key=lambda one: (one.path, one.line))),
            problems=tuple(_once(self.problems)),
            routes=tuple(sorted(routes, key=lambda one: (one.path, one.line))),
            passed_over=tuple(_once(passed_over)),
            dialects=self._dialects,
            texts=self._texts,
            restrictions=dict(sorted(self._settings.restrictions.items())),
            chains=chains_of(routes),
        )

    def fix(self, *, unsafe: bool) -> list[FileChange]:
        """Apply all fixes in memory, and return the changed files.

        Of several configurations inside a file, the last one is fixed first, so that the offsets of
        the others remain valid.
        """
        texts = self._texts.copy()
        budget = IncludeBudget()
        for linted in sorted(self._linted, key=lambda one: -(one.region or (0,))[0]):
            if not any(one.edits for one in linted.result.diagnostics):
                continue
            open_include = Includes(texts, linted.path, self._folders, budget)
            source = linted.view(texts.source(linted.path))
            try:
                fixed = fix_sources(
                    linted.dialect,
                    source,
                    linted.settings,
                    unsafe=unsafe,
                    open_include=open_include,
                )
            except ConfigSyntaxError as error:
                # Two files can include the same third file. The fixes for the first file may then
                # have changed it, so that the second cannot be parsed.
                problem = Problem(linted.path, f"cannot be fixed completely: {error}")
                self.problems.append(problem)
                continue
            for path, text in fixed.items():
                texts.change(path, text)
        return [
            FileChange(
                path=path,
                dialect=self._dialects[path],
                before=texts.read(path).text,
                after=text,
                encoding=texts.read(path).encoding,
            )
            for path, text in sorted(texts.changed.items())
        ]

    def write(self, change: FileChange) -> FileChange:
        """Write a change to its file. If that fails, record a problem."""
        if change.path == STDIN:
            return change
        try:
            before, read_only = self._texts.read(change.path), self._options.read_only
            replace_text(change.path, before, change.after, self._folders, read_only=read_only)
        except UsageError as error:
            message = str(error).removeprefix(f"{change.path}: ")
            self.problems.append(Problem(change.path, message))
            return change
        return replace(change, written=True)

    def accepted_configurations(self, changes: list[FileChange]) -> list[_LintedFile]:
        """Return the configurations to be changed that their own checker currently accepts."""
        changed = {change.path for change in changes} if self._options.verify else set()
        return [
            one
            for one in self._linted
            if one.region is None and one.path != STDIN and changed & set(one.files)
            if has_checker(one.dialect.name) and rejection(one.dialect.name, one.path) is None
        ]

    def restore_rejected(
        self, changes: list[FileChange], accepted: list[_LintedFile]
    ) -> list[FileChange]:
        """Restore the files of each configuration that its own checker now rejects."""
        restored: set[str] = set()
        for one in accepted:
            message = rejection(one.dialect.name, one.path)
            if message is None:
                continue
            problem = f"the fixed file was rejected and has been restored: {message}"
            self.problems.append(Problem(one.path, problem))
            for change in changes:
                if change.written and change.path in set(one.files) - restored:
                    restored.add(change.path)
                    self._restore(change)
        return [
            replace(change, written=False) if change.path in restored else change
            for change in changes
        ]

    def _restore(self, change: FileChange) -> None:
        before = self._texts.read(change.path)
        written = decode(before.encode(change.after))
        read_only = self._options.read_only
        try:
            replace_text(change.path, written, before.text, self._folders, read_only=read_only)
        except UsageError as error:
            self.problems.append(Problem(change.path, f"could not be restored: {error}"))

    def _lint_candidate(self, candidate: Candidate) -> list[_LintedFile]:
        """Lint a file and the configurations that are embedded in it.

        If the user gave the path of the file itself, the reason why it was not linted is recorded
        as a problem; otherwise the file is passed over.
        """
        path = candidate.path
        try:
            text = self._texts.read(path)
        except (OSError, ValueError) as error:
            self._fail(candidate, Problem(path, reason(error)), "file that cannot be read")
            return []
        report_unknown = candidate.named and not self._options.skip_unknown
        if not text.is_text:
            if report_unknown:
                self.problems.append(Problem(path, "is not text"))
            return []
        if not candidate.named and is_schema(text.raw):
            return []
        dialects = self._dialects_of(candidate)
        if dialects and text.is_too_large:
            if candidate.named:
                self.problems.append(Problem(path, "is larger than 1 MB"))
            else:
                self._unread.append(UnreadPart(path, 1, "the file (larger than 1 MB)"))
            return []
        found = [one for dialect in dialects for one in self._lint_whole(candidate, dialect)]
        if not text.is_too_large:
            found += self._lint_embedded(candidate)
        if not dialects and not found:
            if report_unknown:
                message = "is not a configuration of a known dialect; specify it with --dialect"
                self.problems.append(Problem(path, message))
            elif self._dialect is None:
                kind = kind_of_deployment(path, text.raw, text.text)
                if kind is not None:
                    self._passed_over.append(PassedOver(path, kind, NO_DIALECT))
        return found

    def _dialects_of(self, candidate: Candidate) -> list[Dialect]:
        """Return the dialects in which a file is linted. There may be more than one."""
        if candidate.named and self._dialect is not None:
            return [self._dialect]
        if not candidate.named and candidate.use in {FileUse.MARKDOWN, FileUse.OTHER}:
            return []
        text = self._texts.source(candidate.path).text
        name = _recognised_name(candidate.path, text)
        if candidate.use is FileUse.PROGRAM:
            program = recognise_program(name, text)
            return [] if program is None or self._dialect not in {None, program} else [program]
        dialects = recognise_dialects(name, text)
        if not dialects and has_placeholders(text):
            # Placeholders may hide the lines from which a dialect is detected.
            dialects = recognise_dialects(name, template_source(candidate.path, text).text)
        is_container = not candidate.named and candidate.use is FileUse.CONTAINER
        return [
            one
            for one in dialects
            if self._dialect in {None, one} and (one.is_additional or not is_container)
        ]

    def _lint_whole(self, candidate: Candidate, dialect: Dialect) -> list[_LintedFile]:
        """Lint a file. If it cannot be parsed and has placeholders, lint it as a template."""
        path = candidate.path
        try:
            return [self._lint(path, dialect, self._texts.source(path))]
        except ConfigSyntaxError as error:
            failure = error
        except MissingExtra as error:
            self._fail(candidate, Problem(path, str(error)), f"{dialect.title}")
            return []
        except RecursionError:
            self._fail(candidate, Problem(path, "is nested too deeply"), f"{dialect.title} file")
            return []
        is_template = has_placeholders(self._texts.read(path).text)
        if is_template and not is_template_name(path):
            try:
                return [self._lint(path, dialect, self._texts.treat_as_template(path))]
            except (ConfigSyntaxError, RecursionError):
                pass  # the parse error for the unmodified text is more helpful
        message = str(failure).removeprefix(f"{failure.path}:{failure.line}:{failure.column}: ")
        problem = Problem(failure.path, message, failure.line, failure.column)
        kind = "template" if is_template else f"{dialect.title} file"
        self._fail(candidate, problem, kind)
        return []

    def _fail(self, candidate: Candidate, problem: Problem, kind: str) -> None:
        """Record that a file was not linted. If the user named the file, this is a problem."""
        if candidate.named:
            self.problems.append(problem)
            return
        position = "" if problem.line is None else f"line {problem.line}: "
        reason_text = f"not read: {position}{problem.message}"
        self._passed_over.append(PassedOver(candidate.path, kind, reason_text))

    def _note_unreadable(self, one: Problem) -> None:
        if any(os.path.realpath(path) == os.path.realpath(one.path) for path in self._paths):
            self.problems.append(one)
        else:
            self._passed_over.append(PassedOver(one.path, "folder", f"not read: {one.message}"))

    def _lint_embedded(self, candidate: Candidate) -> list[_LintedFile]:
        """Lint the configurations that are embedded in a file. Skip those that cannot be parsed."""
        path = candidate.path
        outer = self._texts.source(path)
        found: list[_LintedFile] = []
        name = _recognised_name(path, outer.text)
        for one in find_embedded(outer, candidate.use, name):
            if self._dialect is not None and one.dialect is not self._dialect:
                continue
            if not outer.holes and has_placeholders(outer.text[one.start : one.end]):
                outer = self._texts.treat_as_template(path)
            view = region_source(outer, one.start, one.end)
            try:
                linted = self._lint(path, one.dialect, view)
            except (ConfigSyntaxError, RecursionError) as error:
                line, _ = outer.position(one.start)
                what = f"the {one.dialect.title} configuration inside this file ({error})"
                self._unread.append(UnreadPart(path, line, what))
                continue
            found.append(replace(linted, region=(one.start, one.end)))
        return found

    def _lint(self, path: str, dialect: Dialect, source: Source) -> _LintedFile:
        neighbours = self._surroundings.of(path)
        targets = {**neighbours.targets, **header_targets(source.written)}
        settings = replace(
            self._settings.settings_for(path), neighbours=replace(neighbours, targets=targets)
        )
        open_include = Includes(self._texts, path, self._folders, self._include_budget)
        result = lint_source(dialect, source, settings, open_include)
        unopened = open_include.unread([source, *result.included])
        return _LintedFile(path, dialect, settings, result, tuple(unopened))


def _recognised_name(path: str, text: str) -> str:
    """Return the file name from which a file's dialect is detected.

    Standard input and pipes have no name. YAML is easily distinguished from everything else.
    """
    if path == STDIN or path.startswith(("/dev/fd/", "/proc/")):
        return "-.yaml" if _YAML_LINE.search(text) else STDIN
    return rendered_name(path)


def _path_list(paths: Paths) -> list[str]:
    if isinstance(paths, str | os.PathLike):
        return [os.fspath(paths)]
    return [os.fspath(path) for path in paths]


def _outermost(linted: list[_LintedFile]) -> list[_LintedFile]:
    """Return the files that no other file includes, and one file from each include cycle."""
    inner = {path for one in linted for path in one.files[1:] if path != one.path}
    kept = {one.path: one for one in linted if one.path not in inner}
    reached = {path for one in kept.values() for path in one.files}
    for one in linted:
        if one.path not in reached:
            kept[one.path] = one
            reached |= set(one.files)
    return [one for one in linted if one.path in kept]


def _sort_key(one: Diagnostic) -> tuple[str, int, int, str]:
    # This separator sorts before all other characters, so files in the same folder stay together.
    return one.path.replace(os.sep, "\0"), one.line, one.column, one.rule.code


def _once(values: Iterable[_T]) -> list[_T]:
    return list(dict.fromkeys(values))
