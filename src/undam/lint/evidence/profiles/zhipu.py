"""Profile that identifies the servers and routes of the Zhipu API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="zhipu",
    title="Zhipu API",
    role=ServiceRole.HOSTED,
    names=("zhipu", "bigmodel"),
    hosts=("open.bigmodel.cn", "api.z.ai"),
    source="docs.bigmodel.cn, streaming messages",
    dated="2026-11",
)
