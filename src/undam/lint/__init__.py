"""Configuration text in, findings and edits out. Pure; one dialect a folder."""

from undam.lint.diagnostic import ConfigRule, Diagnostic, Safety
from undam.lint.dialect import Dialect, Linted, OpenFile, RenderRequest
from undam.lint.engine import fix_source, fix_sources, lint_source
from undam.lint.registry import DIALECTS, config_rules, dialect_named, recognise_dialect
from undam.lint.settings import Settings, read_settings
from undam.textfiles.edit import Edit, apply_edits
from undam.textfiles.source import Source
from undam.textfiles.unread import Unread

__all__ = [
    "DIALECTS",
    "ConfigRule",
    "Diagnostic",
    "Dialect",
    "Edit",
    "Linted",
    "OpenFile",
    "RenderRequest",
    "Safety",
    "Settings",
    "Source",
    "Unread",
    "apply_edits",
    "config_rules",
    "dialect_named",
    "fix_source",
    "fix_sources",
    "lint_source",
    "read_settings",
    "recognise_dialect",
]
