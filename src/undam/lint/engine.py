"""Lint and fix texts, whatever their dialect."""

from __future__ import annotations

from dataclasses import replace

from undam.lint.allow import Allowances
from undam.lint.diagnostic import Diagnostic, Safety
from undam.lint.dialect import Dialect, Linted, OpenFile, no_files
from undam.lint.settings import Settings
from undam.textfiles.edit import apply_edits, choose_edits
from undam.textfiles.source import Source

# A fix can uncover another mistake, and of two that overlap one waits for the next round; more
# rounds than this would mean that two fixes undo each other.
_ROUNDS = 8


def lint_source(
    dialect: Dialect, source: Source, settings: Settings, open_file: OpenFile = no_files
) -> Linted:
    """Every mistake that the settings want told and no comment allows: those of ``source`` first,
    then those of each file it includes, in the order of the text.

    Raises:
        ConfigSyntaxError: the text cannot be read.
    """
    found = dialect.lint(source, settings, open_file)
    allowances = Allowances((*found.included, source))
    kept = [
        one
        for one in found.mistakes
        if settings.wants(one.rule.code, one.rule.slug, one.path) and not allowances.hold(one)
    ]
    kept.sort(key=lambda one: (one.path != source.path, one.path, one.line, one.column))
    return replace(found, mistakes=tuple(kept))


def fix_source(
    dialect: Dialect,
    source: Source,
    settings: Settings,
    *,
    unsafe: bool = False,
    open_file: OpenFile = no_files,
) -> str:
    """The text with every fix made that can be made in it; the same text where there is none.

    Args:
        unsafe: also make fixes that change more than streaming.

    Raises:
        ConfigSyntaxError: the text cannot be read.
    """
    changed = fix_sources(dialect, source, settings, unsafe=unsafe, open_file=open_file)
    return changed.get(source.path, source.text)


def fix_sources(
    dialect: Dialect,
    source: Source,
    settings: Settings,
    *,
    unsafe: bool = False,
    open_file: OpenFile = no_files,
) -> dict[str, str]:
    """The new text, by path, of each file that a fix changes: ``source`` or one it includes.

    Args:
        unsafe: also make fixes that change more than streaming.

    Raises:
        ConfigSyntaxError: the text cannot be read.
    """
    changed: dict[str, str] = {}

    def as_changed(one: Source) -> Source:
        return Source(one.path, changed[one.path]) if one.path in changed else one

    def open_changed(pattern: str) -> list[Source]:
        return [as_changed(one) for one in open_file(pattern)]

    for _ in range(_ROUNDS):
        now = as_changed(source)
        found = lint_source(dialect, now, settings, open_changed)
        files = {one.path: one for one in (*found.included, now)}
        before = dict(changed)
        for path, fixes in _fixes(found.mistakes, unsafe=unsafe).items():
            edits = choose_edits(one.edits for one in fixes)
            text = apply_edits(files[path].text, edits)
            if text != files[path].text:
                changed[path] = text
        if changed == before:
            break
    return changed


def _fixes(mistakes: tuple[Diagnostic, ...], *, unsafe: bool) -> dict[str, list[Diagnostic]]:
    """By path, the mistakes whose fix may be made."""
    wanted = {Safety.SAFE, Safety.UNSAFE} if unsafe else {Safety.SAFE}
    fixes: dict[str, list[Diagnostic]] = {}
    for one in mistakes:
        if one.rule.safety in wanted and one.edits:
            fixes.setdefault(one.path, []).append(one)
    return fixes
