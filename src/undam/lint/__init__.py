"""Lint of proxy configurations: text in, diagnostics and edits out."""

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, RenderRequest
from undam.lint.engine import fix_source, fix_sources, lint_source
from undam.lint.registry import DIALECTS, config_rules, dialect_named, recognise_dialect
from undam.lint.settings import Settings, read_settings
from undam.textfiles.edits import Edit, apply_edits
from undam.textfiles.source import Source, UnreadPart

__all__ = [
    "DIALECTS",
    "ConfigRule",
    "Diagnostic",
    "Dialect",
    "Edit",
    "IncludeOpener",
    "LintResult",
    "RenderRequest",
    "Safety",
    "Settings",
    "Source",
    "UnreadPart",
    "apply_edits",
    "config_rules",
    "dialect_named",
    "fix_source",
    "fix_sources",
    "lint_source",
    "read_settings",
    "recognise_dialect",
]
