"""The rules of nginx; each file holds those of one kind, and what finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from undam.configs.mistake import ConfigRule, Mistake
from undam.configs.nginx.routes import Route
from undam.configs.nginx.rules import filters, holds, limits, lookalikes, protocol
from undam.configs.settings import Settings

RULES: tuple[ConfigRule, ...] = (
    *holds.RULES,
    *filters.RULES,
    *protocol.RULES,
    *lookalikes.RULES,
    *limits.RULES,
)

FINDERS: tuple[Callable[[Route, Settings], Iterator[Mistake]], ...] = (
    holds.find,
    filters.find,
    protocol.find,
    lookalikes.find,
    limits.find,
)
"""Each says what is wrong with a route that streams."""
