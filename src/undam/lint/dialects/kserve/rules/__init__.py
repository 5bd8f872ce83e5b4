"""Rules for KServe and Knative, one module per topic."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule
from undam.lint.dialects.kserve.rules import limits

RULES: tuple[ConfigRule, ...] = limits.RULES
