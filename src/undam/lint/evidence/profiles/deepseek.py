"""Profile that identifies the servers and routes of the DeepSeek API."""

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
