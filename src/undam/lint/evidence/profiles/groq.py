"""Profile that identifies the servers and routes of the Groq API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="groq",
    title="Groq API",
    role=ServiceRole.HOSTED,
    names=("groq",),
    hosts=("api.groq.com",),
    source="console.groq.com/docs, text generation",
    dated="2026-11",
)
