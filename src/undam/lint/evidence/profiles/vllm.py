"""Profile that identifies the servers and routes of vLLM."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="vllm",
    title="vLLM",
    role=ServiceRole.ENGINE,
    names=("vllm",),
    images=("vllm/vllm-openai", "vllm-openai"),
    source="docs.vllm.ai, Using Docker",
    dated="2026-11",
)
