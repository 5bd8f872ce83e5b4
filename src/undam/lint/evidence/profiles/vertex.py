"""Profile that identifies the servers and routes of the Vertex AI API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="vertex",
    title="Vertex AI API",
    role=ServiceRole.HOSTED,
    names=("vertex-ai",),
    hosts=("aiplatform.googleapis.com", "-aiplatform.googleapis.com"),
    source="cloud.google.com/vertex-ai, streamGenerateContent",
    dated="2026-11",
)
