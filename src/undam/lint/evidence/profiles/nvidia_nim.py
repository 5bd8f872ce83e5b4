"""Profile that identifies the servers and routes of NVIDIA NIM."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="nvidia-nim",
    title="NVIDIA NIM",
    role=ServiceRole.ENGINE,
    names=("nvidia-nim", "nim-llm"),
    images=("nvcr.io/nim/",),
    hosts=("integrate.api.nvidia.com",),
    source="docs.nvidia.com/nim/large-language-models",
    dated="2026-11",
)
