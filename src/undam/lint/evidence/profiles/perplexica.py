"""Profile that identifies the servers and routes of Perplexica."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="perplexica",
    title="Perplexica",
    role=ServiceRole.APP,
    names=("perplexica",),
    images=("itzcrazykns1337/perplexica",),
    source="github.com/ItzCrazyKns/Perplexica, docker-compose.yaml",
    dated="2026-11",
)
