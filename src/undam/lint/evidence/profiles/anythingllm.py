"""Profile that identifies the servers and routes of AnythingLLM."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="anythingllm",
    title="AnythingLLM",
    role=ServiceRole.APP,
    names=("anythingllm", "anything-llm"),
    images=("mintplexlabs/anythingllm",),
    paths=("stream-chat",),
    source="github.com/Mintplex-Labs/anything-llm, docker",
    dated="2026-11",
)
