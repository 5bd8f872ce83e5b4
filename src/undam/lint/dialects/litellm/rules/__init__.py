"""Rules for LiteLLM and their checks, one module per topic."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule
from undam.lint.dialects.litellm.rules import buffering, limits

RULES: tuple[ConfigRule, ...] = (*buffering.RULES, *limits.RULES)
