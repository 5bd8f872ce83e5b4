"""The rules of compose files. Traefik and Caddy labels are checked by those dialects' rules."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule
from undam.lint.dialects.compose.rules import limits

RULES: tuple[ConfigRule, ...] = (*limits.RULES,)
