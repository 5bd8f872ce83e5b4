"""Profile that identifies the servers and routes of Ray Serve."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="ray-serve",
    title="Ray Serve",
    role=ServiceRole.ENGINE,
    names=("ray-serve", "rayserve", "ray-llm", "rayllm"),
    images=("rayproject/ray-llm", "anyscale/ray-llm"),
    source="docs.ray.io, Serving LLMs",
    dated="2026-11",
)
