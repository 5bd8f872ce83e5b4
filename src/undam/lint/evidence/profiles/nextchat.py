"""Profile that identifies the servers and routes of NextChat."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="nextchat",
    title="NextChat",
    role=ServiceRole.APP,
    names=("nextchat", "chatgpt-next-web"),
    images=("yidadaa/chatgpt-next-web",),
    source="github.com/ChatGPTNextWeb/NextChat, docker-compose.yml",
    dated="2026-11",
)
