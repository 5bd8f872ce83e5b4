"""Profile that identifies the servers and routes of the Cloudflare AI Gateway."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="cloudflare-ai-gateway",
    title="Cloudflare AI Gateway",
    role=ServiceRole.HOSTED,
    names=("cloudflare-ai-gateway",),
    hosts=("gateway.ai.cloudflare.com",),
    source="developers.cloudflare.com/ai-gateway",
    dated="2026-11",
)
