"""Profile that identifies the servers and routes of LangGraph."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="langgraph",
    title="LangGraph",
    role=ServiceRole.APP,
    names=("langgraph", "langgraph-api", "langgraph-server"),
    images=("langchain/langgraph-api",),
    ports=(2024,),
    paths=("runs/stream", "langgraph"),
    source="docs.langchain.com, LangGraph Server API",
    dated="2026-11",
)
