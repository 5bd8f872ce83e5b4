"""Profile that identifies the servers and routes of Azure OpenAI."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="azure-openai",
    title="Azure OpenAI",
    role=ServiceRole.HOSTED,
    names=("azure-openai", "aoai"),
    hosts=("openai.azure.com", "services.ai.azure.com"),
    paths=("openai/deployments",),
    source="learn.microsoft.com, Azure OpenAI REST API reference",
    dated="2026-11",
)
