"""Profile that identifies the servers and routes of the Hugging Face inference API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="hugging-face",
    title="Hugging Face inference API",
    role=ServiceRole.HOSTED,
    names=("hf-router", "hf-inference"),
    hosts=("router.huggingface.co", "endpoints.huggingface.cloud"),
    source="huggingface.co/docs/inference-providers",
    dated="2026-11",
)
