"""Lint and fix texts of any dialect, without I/O."""

from __future__ import annotations

from dataclasses import replace

from undam.lint.diagnostics import Diagnostic, Safety
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, no_includes
from undam.lint.settings import Settings
from undam.lint.suppressions import Suppressions
from undam.textfiles.edits import apply_edits, choose_edits
from undam.textfiles.source import Source

# A fix can reveal another diagnostic, and overlapping fixes are applied in separate rounds. The
# limit stops two fixes that undo each other from alternating forever.
_MAX_ROUNDS = 8


def lint_source(
    dialect: Dialect,
    source: Source,
    settings: Settings,
    open_include: IncludeOpener = no_includes,
) -> LintResult:
    """Return the diagnostics that the settings enable and no comment suppresses.

    Diagnostics of ``source`` come first, then those of each included file, in text order.

    Raises:
        ConfigSyntaxError: the text cannot be parsed.
    """
    result = dialect.lint(source, settings, open_include)
    suppressions = Suppressions((*result.included, source))
    kept = [
        one
        for one in result.diagnostics
        if settings.is_enabled(one.rule.code, one.rule.slug, one.path)
        and not suppressions.covers(one)
    ]
    kept.sort(key=lambda one: (one.path != source.path, one.path, one.line, one.column))
    return replace(result, diagnostics=tuple(kept))


def fix_source(
    dialect: Dialect,
    source: Source,
    settings: Settings,
    *,
    unsafe: bool = False,
    open_include: IncludeOpener = no_includes,
) -> str:
    """Return the text of ``source`` with every possible fix applied to it.

    Args:
        unsafe: also apply fixes that change more than streaming.

    Raises:
        ConfigSyntaxError: the text cannot be parsed.
    """
    changed = fix_sources(dialect, source, settings, unsafe=unsafe, open_include=open_include)
    return changed.get(source.path, source.text)


def fix_sources(
    dialect: Dialect,
    source: Source,
    settings: Settings,
    *,
    unsafe: bool = False,
    open_include: IncludeOpener = no_includes,
) -> dict[str, str]:
    """Return the new text of each file that the fixes change, by path.

    The fixes can change ``source`` and the files that it includes.

    Args:
        unsafe: also apply fixes that change more than streaming.

    Raises:
        ConfigSyntaxError: the text cannot be parsed.
    """
    changed: dict[str, str] = {}

    def current(one: Source) -> Source:
        return Source(one.path, changed[one.path]) if one.path in changed else one

    def open_current(pattern: str) -> list[Source]:
        return [current(one) for one in open_include(pattern)]

    for _ in range(_MAX_ROUNDS):
        root = current(source)
        result = lint_source(dialect, root, settings, open_current)
        files = {one.path: one for one in (*result.included, root)}
        before = dict(changed)
        for path, fixable in _fixable(result.diagnostics, unsafe=unsafe).items():
            edits = choose_edits(one.edits for one in fixable)
            text = apply_edits(files[path].text, edits)
            if text != files[path].text:
                changed[path] = text
        if changed == before:
            break
    return changed


def _fixable(diagnostics: tuple[Diagnostic, ...], *, unsafe: bool) -> dict[str, list[Diagnostic]]:
    """Return the diagnostics whose fix may be applied, grouped by path."""
    allowed = {Safety.SAFE, Safety.UNSAFE} if unsafe else {Safety.SAFE}
    fixable: dict[str, list[Diagnostic]] = {}
    for one in diagnostics:
        if one.rule.safety in allowed and one.edits:
            fixable.setdefault(one.path, []).append(one)
    return fixable
