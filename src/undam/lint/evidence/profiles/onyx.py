"""Profile that identifies the servers and routes of Onyx."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="onyx",
    title="Onyx",
    role=ServiceRole.APP,
    names=("onyx", "danswer"),
    images=("onyxdotapp/onyx-backend", "danswer/danswer-backend"),
    paths=("chat/send-message", "chat/send-chat-message"),
    source="github.com/onyx-dot-app/onyx, deployment/data/nginx",
    dated="2026-11",
)
