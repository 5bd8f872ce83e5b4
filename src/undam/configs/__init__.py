"""Configuration text in, findings and edits out. Pure; one dialect a folder."""

from undam.configs.dialect import Dialect, Linted, OpenFile, RenderRequest, Unread
from undam.configs.edit import Edit, apply_edits
from undam.configs.lint import fix_source, fix_sources, lint_source
from undam.configs.mistake import ConfigRule, Mistake, Safety
from undam.configs.registry import DIALECTS, config_rules, dialect_named, recognise_dialect
from undam.configs.settings import Settings, read_settings
from undam.configs.source import Source

__all__ = [
    "DIALECTS",
    "ConfigRule",
    "Dialect",
    "Edit",
    "Linted",
    "Mistake",
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
