"""Amazon Bedrock: how its servers and routes are recognised."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="bedrock",
    title="Amazon Bedrock",
    role=ServiceRole.HOSTED,
    names=("bedrock",),
    hosts=("bedrock-runtime",),
    paths=("invoke-with-response-stream", "converse-stream"),
    source="docs.aws.amazon.com, Bedrock, ConverseStream",
    dated="2026-11",
)
