"""Profile that identifies the servers and routes of LiteLLM."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="litellm",
    title="LiteLLM",
    role=ServiceRole.GATEWAY,
    names=("litellm", "litellm-proxy"),
    images=("berriai/litellm",),
    source="github.com/BerriAI/litellm, docker-compose.yml",
    dated="2026-11",
)
