"""Rules for Traffic Server and their checks, one module per topic."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule
from undam.lint.dialects.trafficserver.rules import compression, limits

RULES: tuple[ConfigRule, ...] = (*compression.RULES, *limits.RULES)
