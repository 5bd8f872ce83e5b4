"""Profile that identifies the servers and routes of Amazon Bedrock."""

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
