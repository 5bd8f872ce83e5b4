"""Xinference: how its servers and routes are recognised."""

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
