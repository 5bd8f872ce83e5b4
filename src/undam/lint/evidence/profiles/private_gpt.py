"""Profile that identifies the servers and routes of PrivateGPT."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="private-gpt",
    title="PrivateGPT",
    role=ServiceRole.APP,
    names=("private-gpt", "privategpt"),
    images=("zylonai/private-gpt",),
    source="github.com/zylon-ai/private-gpt, docker-compose.yaml",
    dated="2026-11",
)
