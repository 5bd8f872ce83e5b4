"""Anthropic API: how its servers and routes are recognised."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="anthropic",
    title="Anthropic API",
    role=ServiceRole.HOSTED,
    names=("anthropic", "claude"),
    hosts=("api.anthropic.com",),
    source="docs.anthropic.com, streaming messages",
    dated="2026-11",
)
