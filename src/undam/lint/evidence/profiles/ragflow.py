"""Profile that identifies the servers and routes of RAGFlow."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="ragflow",
    title="RAGFlow",
    role=ServiceRole.APP,
    names=("ragflow",),
    images=("infiniflow/ragflow",),
    ports=(9380,),
    paths=("v1/conversation/completion",),
    source="github.com/infiniflow/ragflow, docker/nginx/ragflow.conf",
    dated="2026-11",
)
