"""Profile that identifies the servers and routes of Text Generation Inference."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="tgi",
    title="Text Generation Inference",
    role=ServiceRole.ENGINE,
    names=("tgi", "text-generation-inference"),
    images=("huggingface/text-generation-inference",),
    paths=("generate_stream",),
    source="github.com/huggingface/text-generation-inference, README",
    dated="2026-11",
)
