"""Profile that identifies the servers and routes of LibreChat."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="librechat",
    title="LibreChat",
    role=ServiceRole.APP,
    names=("librechat", "libre-chat"),
    images=(
        "danny-avila/librechat",
        "danny-avila/librechat-api",
        "danny-avila/librechat-dev",
        "danny-avila/librechat-dev-api",
    ),
    named_ports=(("api", 3080),),
    ports=(3080,),
    paths=("api/agents/chat", "api/ask"),
    source="github.com/danny-avila/LibreChat, docker-compose.yml and client/nginx.conf",
    dated="2026-11",
)
