"""Profile that identifies the servers and routes of the Gemini API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="gemini",
    title="Gemini API",
    role=ServiceRole.HOSTED,
    names=("gemini",),
    hosts=("generativelanguage.googleapis.com", "aiplatform.googleapis.com"),
    paths=("streamgeneratecontent", "v1beta"),
    source="ai.google.dev, models.streamGenerateContent",
    dated="2026-11",
)
