"""Azure OpenAI content filter."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "learn.microsoft.com, foundry/openai/concepts/content-streaming", checked="2026-11"
)
_FIELDS = documented(
    "learn.microsoft.com, foundry/openai/concepts/content-filter-annotations", checked="2026-11"
)

ENTRY = Intermediary(
    name="azure-openai-filter",
    title="Azure OpenAI content filter",
    kind="filter",
    claims=(
        Sign(":body", r'(?<!\\)"(prompt|content)_filter_results?"\s?:', evidence=_FIELDS),
        Behaviour(
            Aspect.HOLDS,
            (
                "By default, content arrives in chunks of the filter's buffer, each after "
                "it was checked."
            ),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.HOLD,
            "azure-openai-filter",
            "Content filter of the deployment: Asynchronous Filter (API 2024-02-01+)",
            evidence=_DOCS,
        ),
    ),
)
