"""Profile that identifies the servers and routes of the OpenAI API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="openai",
    title="OpenAI API",
    role=ServiceRole.HOSTED,
    names=("openai", "chatgpt"),
    hosts=("api.openai.com",),
    source="platform.openai.com/docs, streaming",
    dated="2026-11",
)
