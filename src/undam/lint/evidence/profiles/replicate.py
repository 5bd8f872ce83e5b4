"""Profile that identifies the servers and routes of the Replicate API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="replicate",
    title="Replicate API",
    role=ServiceRole.HOSTED,
    names=("replicate-api",),
    hosts=("api.replicate.com", "stream.replicate.com"),
    source="replicate.com/docs, streaming output",
    dated="2026-11",
)
