"""Profile that identifies the servers and routes of Dify."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="dify",
    title="Dify",
    role=ServiceRole.APP,
    names=("dify", "dify-api", "dify-web"),
    images=("langgenius/dify-api",),
    named_ports=(("api", 5001),),
    paths=("console/api",),
    source="github.com/langgenius/dify, docker/nginx/conf.d/default.conf.template",
    dated="2026-11",
)
