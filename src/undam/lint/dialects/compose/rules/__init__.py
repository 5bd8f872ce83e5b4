"""Rules for compose files. Traefik and Caddy labels are checked by the rules of those dialects."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule
from undam.lint.dialects.compose.rules import limits

RULES: tuple[ConfigRule, ...] = (*limits.RULES,)
