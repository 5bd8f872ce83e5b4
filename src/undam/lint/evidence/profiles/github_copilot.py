"""Profile that identifies the servers and routes of the GitHub Copilot API."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="github-copilot",
    title="GitHub Copilot API",
    role=ServiceRole.HOSTED,
    names=("github-copilot",),
    hosts=("api.githubcopilot.com",),
    source="docs.github.com, Copilot allowlist reference",
    dated="2026-11",
)
