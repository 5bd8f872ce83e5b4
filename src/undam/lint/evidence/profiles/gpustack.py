"""Profile that identifies the servers and routes of GPUStack."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="gpustack",
    title="GPUStack",
    role=ServiceRole.GATEWAY,
    names=("gpustack",),
    images=("gpustack/gpustack",),
    source="docs.gpustack.ai, OpenAI-compatible APIs",
    dated="2026-11",
)
