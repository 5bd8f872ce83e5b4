"""Options for a lint run, and its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from undam.lint.chain import Chain
from undam.lint.diagnostics import Diagnostic
from undam.lint.dialect import Dialect
from undam.lint.discovery.passed_over import PassedOver
from undam.lint.evidence.assessment import AssessedRoute, RouteOutcome
from undam.lint.files import STDIN, ConfigFiles, Problem
from undam.lint.project_settings import SettingsOverrides
from undam.lint.registry import dialect_of_rule
from undam.rules import Severity
from undam.textfiles.diff import changed_lines, file_diff
from undam.textfiles.source import Source, UnreadPart


@dataclass(frozen=True, slots=True, kw_only=True)
class LintOptions:
    """Options for `lint_paths` and `fix_paths`.

    Args:
        dialect: name of the dialect of the named files. In folders, only files that are recognised
            as this dialect are linted.
        skip_unknown: skip named files of unknown dialect instead of reporting a problem.
        exclude: path patterns of files and folders to leave out.
        markdown: lint the code fences of Markdown documents.
        verify: check each written configuration with its own program, if that is installed, and
            restore the files of a configuration that it accepted before and rejects now.
        config_file: settings file for all files, instead of the nearest one.
        read_only: fixes are also written to files whose mode permits nobody to write them.
        overrides: values that take precedence over the settings.
    """

    dialect: str | None = None
    skip_unknown: bool = False
    exclude: tuple[str, ...] = ()
    markdown: bool = False
    verify: bool = False
    config_file: str | None = None
    read_only: bool = False
    overrides: SettingsOverrides = field(default_factory=SettingsOverrides)


@dataclass(frozen=True, kw_only=True)
class LintReport:
    """Result of `lint_paths`.

    Args:
        diagnostics: without duplicates, sorted by path and position.
        files: paths of all files that were linted, including included ones; sorted.
        unread: parts of files that were not analyzed, with the reason.
        problems: named files that could not be linted, with the reason.
        routes: every route that was found, with its outcome; sorted by path and line.
        passed_over: files below a folder that were not linted although they are part of a
            deployment or look like a configuration.
        dialects: dialect of each file in ``files``.
        texts: the texts of the files.
        chains: the programs on the path of a request, joined over all files.
        restrictions: for each settings file, the settings that can hide findings.
    """

    diagnostics: tuple[Diagnostic, ...]
    files: tuple[str, ...]
    unread: tuple[UnreadPart, ...]
    problems: tuple[Problem, ...]
    routes: tuple[AssessedRoute, ...]
    passed_over: tuple[PassedOver, ...]
    dialects: Mapping[str, Dialect] = field(repr=False)
    texts: ConfigFiles = field(repr=False)
    restrictions: Mapping[str, str] = field(default_factory=dict)
    chains: tuple[Chain, ...] = ()

    @property
    def has_faults(self) -> bool:
        """True if at least one diagnostic has severity error or warning."""
        return any(one.severity is not Severity.INFO for one in self.diagnostics)

    def count(self, outcome: RouteOutcome) -> int:
        """Return the number of routes with the given outcome."""
        return sum(one.outcome is outcome for one in self.routes)

    def dialect_of(self, diagnostic: Diagnostic) -> Dialect:
        """Return a diagnostic's dialect, which may differ from that of its file."""
        return dialect_of_rule(diagnostic.rule)

    def source(self, diagnostic: Diagnostic) -> Source:
        """Return the text of the file in which a diagnostic is located."""
        return self.texts.source(diagnostic.path)

    def fix_lines(self, diagnostic: Diagnostic) -> list[str]:
        """Return the lines that the fix removes (prefix "-") and adds (prefix "+")."""
        return changed_lines(self.source(diagnostic), diagnostic.edits)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """Changes to one file by all of its fixes.

    Args:
        before: the text on disk.
        after: the text with the fixes applied.
        encoding: encoding of the file.
        written: the new text was written to the file.
    """

    path: str
    dialect: Dialect
    before: str
    after: str
    encoding: str
    written: bool = False

    def diff(self) -> list[str]:
        """Return the lines of a unified diff that ``patch -p1`` and ``git apply`` accept."""
        name = "stdin" if self.path == STDIN else self.path
        return list(file_diff(name, self.before, self.after))


@dataclass(frozen=True, slots=True, kw_only=True)
class FixReport:
    """Result of `fix_paths`.

    Args:
        lint: the report before the fixes.
        changes: files that the fixes change, sorted by path.
        problems: files that could not be linted, fixed or written, with the reason.
    """

    lint: LintReport
    changes: tuple[FileChange, ...]
    problems: tuple[Problem, ...]

    def content(self, path: str) -> bytes:
        """Return the content of a linted file after the fixes."""
        after = {change.path: change.after for change in self.changes}
        before = self.lint.texts.read(path)
        return before.encode(after.get(path, before.text))
