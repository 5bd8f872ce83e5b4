"""Profile that identifies the servers and routes of LobeChat."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="lobechat",
    title="LobeChat",
    role=ServiceRole.APP,
    names=("lobe", "lobe-chat", "lobechat", "lobehub"),
    images=("lobehub/lobe-chat", "lobehub/lobe-chat-database"),
    ports=(3210,),
    paths=("webapi/chat",),
    source="github.com/lobehub/lobe-chat, docker-compose/local",
    dated="2026-11",
)
