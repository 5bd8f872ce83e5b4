"""Profile that identifies the servers and routes of text-generation-webui."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="text-generation-webui",
    title="text-generation-webui",
    role=ServiceRole.ENGINE,
    names=("text-generation-webui", "oobabooga"),
    images=("atinoda/text-generation-webui",),
    source="github.com/oobabooga/text-generation-webui, OpenAI API",
    dated="2026-11",
)
