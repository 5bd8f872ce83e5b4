"""The rules of nginx; each file holds those of one kind, and what finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.nginx.routes import Route
from undam.lint.dialects.nginx.rules import filters, holds, limits, lookalikes, protocol
from undam.lint.settings import Settings

RULES: tuple[ConfigRule, ...] = (
    *holds.RULES,
    *filters.RULES,
    *protocol.RULES,
    *lookalikes.RULES,
    *limits.RULES,
)

FINDERS: tuple[Callable[[Route, Settings], Iterator[Diagnostic]], ...] = (
    holds.find,
    filters.find,
    protocol.find,
    lookalikes.find,
    limits.find,
)
"""Each says what is wrong with a route that streams."""
