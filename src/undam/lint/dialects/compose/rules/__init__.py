"""The rules of compose files; Traefik and Caddy labels have the rules of these dialects."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule
from undam.lint.dialects.compose.rules import limits

RULES: tuple[ConfigRule, ...] = (*limits.RULES,)
