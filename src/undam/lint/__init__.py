"""Linter for proxy configurations: finds settings that delay or cut streams, and fixes them.

`lint_paths` and `fix_paths` process files and folders. `lint_source` and `fix_source` take a text
and do no I/O.
"""

from undam.lint.chain import Chain, ChainLimit, ChainLink
from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, RenderRequest
from undam.lint.discovery.passed_over import PassedOver
from undam.lint.engine import fix_source, fix_sources, lint_source
from undam.lint.evidence.assessment import AssessedRoute, Assessment, RouteOutcome
from undam.lint.evidence.hop import Hop, Tier
from undam.lint.files import Problem
from undam.lint.project_settings import SettingsOverrides
from undam.lint.registry import DIALECTS, config_rules, dialect_named, recognise_dialect
from undam.lint.reports import FileChange, FixReport, LintOptions, LintReport
from undam.lint.runner import fix_paths, lint_paths
from undam.lint.settings import Settings, read_settings
from undam.textfiles.edits import Edit, apply_edits
from undam.textfiles.source import Source, UnreadPart

__all__ = [
    "DIALECTS",
    "AssessedRoute",
    "Assessment",
    "Chain",
    "ChainLimit",
    "ChainLink",
    "ConfigRule",
    "Diagnostic",
    "Dialect",
    "Edit",
    "FileChange",
    "FixReport",
    "Hop",
    "IncludeOpener",
    "LintOptions",
    "LintReport",
    "LintResult",
    "PassedOver",
    "Problem",
    "RenderRequest",
    "RouteOutcome",
    "Safety",
    "Settings",
    "SettingsOverrides",
    "Source",
    "Tier",
    "UnreadPart",
    "apply_edits",
    "config_rules",
    "dialect_named",
    "fix_paths",
    "fix_source",
    "fix_sources",
    "lint_paths",
    "lint_source",
    "read_settings",
    "recognise_dialect",
]
