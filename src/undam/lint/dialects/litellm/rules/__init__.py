"""The rules of LiteLLM, one module per topic with the functions that find them."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule
from undam.lint.dialects.litellm.rules import buffering, limits

RULES: tuple[ConfigRule, ...] = (*buffering.RULES, *limits.RULES)
