"""Profile that identifies the servers and routes of the SiliconFlow API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="siliconflow",
    title="SiliconFlow API",
    role=ServiceRole.HOSTED,
    names=("siliconflow",),
    hosts=("api.siliconflow.cn", "api.siliconflow.com"),
    source="docs.siliconflow.cn, chat completions",
    dated="2026-11",
)
