"""Profile that identifies the servers and routes of KServe."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="kserve",
    title="KServe",
    role=ServiceRole.ENGINE,
    names=("kserve", "huggingfaceserver"),
    images=("kserve/huggingfaceserver",),
    source="kserve.github.io, generative inference",
    dated="2026-11",
)
