"""Profile that identifies the servers and routes of the MiniMax API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="minimax",
    title="MiniMax API",
    role=ServiceRole.HOSTED,
    names=("minimax-api",),
    hosts=("api.minimax.io", "api.minimax.chat", "api.minimaxi.com"),
    source="platform.minimax.io, text generation",
    dated="2026-11",
)
