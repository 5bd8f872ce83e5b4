"""Text Generation Inference: how its servers and routes are recognised."""

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
