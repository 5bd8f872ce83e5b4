"""Deprecated public names still work and emit a warning."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize(
    ("module", "old", "home", "new"),
    [
        ("undam.asgi", "Memory", "undam.asgi", "MemoryReplay"),
        ("undam.asgi.replay", "Memory", "undam.asgi", "MemoryReplay"),
        ("undam.client.otel", "Metrics", "undam.client.otel", "GenAIMetrics"),
    ],
)
def test_old_name_is_an_alias_with_a_warning(module: str, old: str, home: str, new: str) -> None:
    loaded = importlib.import_module(module)
    with pytest.warns(DeprecationWarning, match=new):
        alias = getattr(loaded, old)
    assert alias is getattr(importlib.import_module(home), new)


@pytest.mark.parametrize("module", ["undam.asgi", "undam.asgi.replay", "undam.client.otel"])
def test_unknown_name_is_an_attribute_error(module: str) -> None:
    with pytest.raises(AttributeError):
        getattr(importlib.import_module(module), "NoSuchName")  # noqa: B009
