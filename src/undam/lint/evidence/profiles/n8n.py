"""Profile that identifies the servers and routes of n8n."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="n8n",
    title="n8n",
    role=ServiceRole.APP,
    names=("n8n",),
    images=("n8nio/n8n", "n8n-io/n8n"),
    ports=(5678,),
    paths=("rest/push",),
    source="github.com/n8n-io/n8n; docs.n8n.io, hosting",
    dated="2026-11",
)
