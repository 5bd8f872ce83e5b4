"""The rules of Traffic Server, one module per topic with the functions that find them."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule
from undam.lint.dialects.trafficserver.rules import compression, limits

RULES: tuple[ConfigRule, ...] = (*compression.RULES, *limits.RULES)
