"""Amazon Bedrock guardrails."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("docs.aws.amazon.com, Bedrock guardrails-streaming", checked="2026-11")

ENTRY = Intermediary(
    name="bedrock-guardrails",
    title="Amazon Bedrock guardrails",
    kind="filter",
    claims=(
        Sign(":body", r'(?<!\\)"amazon-bedrock-guardrailAction"\s?:', evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "In synchronous mode, the default, one or more chunks are held until the "
                "guardrail has checked them."
            ),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.HOLD,
            "bedrock-guardrails",
            "streamProcessingMode: async  # masking is not available then",
            evidence=_DOCS,
        ),
    ),
)
