"""Profile that identifies the servers and routes of the DashScope API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="dashscope",
    title="DashScope API",
    role=ServiceRole.HOSTED,
    names=("dashscope",),
    hosts=("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"),
    source="help.aliyun.com, Model Studio, streaming output",
    dated="2026-11",
)
