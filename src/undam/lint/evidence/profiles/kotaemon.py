"""Profile that identifies the servers and routes of kotaemon."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="kotaemon",
    title="kotaemon",
    role=ServiceRole.APP,
    names=("kotaemon",),
    images=("cinnamon/kotaemon",),
    source="github.com/Cinnamon/kotaemon, README",
    dated="2026-11",
)
