"""DeepSeek API: how its servers and routes are recognised."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="deepseek",
    title="DeepSeek API",
    role=ServiceRole.HOSTED,
    names=("deepseek",),
    hosts=("api.deepseek.com",),
    source="api-docs.deepseek.com",
    dated="2026-11",
)
