"""Profile that identifies the servers and routes of Coze Studio."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="coze-studio",
    title="Coze Studio",
    role=ServiceRole.APP,
    names=("coze-server", "coze-studio"),
    images=("cozedev/coze-studio-server",),
    source="github.com/coze-dev/coze-studio, docker/nginx/conf.d/frontend.conf",
    dated="2026-11",
)
