"""Profile that identifies the servers and routes of R2R."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="r2r",
    title="R2R",
    role=ServiceRole.APP,
    names=("r2r",),
    images=("sciphiai/r2r",),
    ports=(7272,),
    source="github.com/SciPhi-AI/R2R, py/nginx.conf",
    dated="2026-11",
)
