"""Lint and fix one text, whatever its dialect."""

from __future__ import annotations

from dataclasses import replace

from undam.configs.allow import is_allowed
from undam.configs.dialect import Dialect, Linted, OpenFile, no_files
from undam.configs.edit import apply_edits
from undam.configs.mistake import Safety
from undam.configs.settings import Settings
from undam.configs.source import Source

# A fix can uncover another mistake, and each run of a rule edits a place once; more rounds than
# this would mean that two fixes undo each other.
_ROUNDS = 8


def lint_source(
    dialect: Dialect, source: Source, settings: Settings, open_file: OpenFile = no_files
) -> Linted:
    """Every mistake that the settings want told and no comment allows, in the order of the text.

    Raises:
        ConfigSyntaxError: the text cannot be read.
    """
    found = dialect.lint(source, settings, open_file)
    kept = [
        one
        for one in found.mistakes
        if settings.wants(one.rule.code, one.rule.slug, one.path)
        and not (one.path == source.path and is_allowed(source, one))
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
    """The text with every fix made that can be made; the same text where there is none.

    Args:
        unsafe: also make fixes that change more than streaming.

    Raises:
        ConfigSyntaxError: the text cannot be read.
    """
    for _ in range(_ROUNDS):
        found = lint_source(dialect, source, settings, open_file)
        edits = [
            edit
            for one in found.mistakes
            if one.path == source.path
            and (one.rule.safety is Safety.SAFE or (unsafe and one.rule.safety is Safety.UNSAFE))
            for edit in one.edits
        ]
        fixed = apply_edits(source.text, edits)
        if fixed == source.text:
            break
        source = Source(source.path, fixed)
    return source.text
