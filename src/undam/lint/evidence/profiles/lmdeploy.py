"""Profile that identifies the servers and routes of LMDeploy."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="lmdeploy",
    title="LMDeploy",
    role=ServiceRole.ENGINE,
    names=("lmdeploy",),
    images=("openmmlab/lmdeploy",),
    ports=(23333,),
    source="lmdeploy.readthedocs.io, OpenAI compatible server",
    dated="2026-11",
)
