"""Profile that identifies the servers and routes of the Anthropic API."""

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
