"""Profile that identifies the servers and routes of Ollama."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="ollama",
    title="Ollama",
    role=ServiceRole.ENGINE,
    names=("ollama",),
    images=("ollama/ollama",),
    ports=(11434,),
    source="github.com/ollama/ollama, docs/faq",
    dated="2026-11",
)
