"""Profile that identifies the servers and routes of Xinference."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="xinference",
    title="Xinference",
    role=ServiceRole.ENGINE,
    names=("xinference", "xprobe"),
    images=("xprobe/xinference",),
    ports=(9997,),
    source="inference.readthedocs.io, installation",
    dated="2026-11",
)
