"""Profile that identifies the servers and routes of the Volcengine Ark API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="volcengine",
    title="Volcengine Ark API",
    role=ServiceRole.HOSTED,
    names=("volcengine-ark",),
    hosts=("ark.cn-beijing.volces.com",),
    source="volcengine.com/docs/82379, streaming output",
    dated="2026-11",
)
