"""Profile that identifies the servers and routes of Streamlit."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="streamlit",
    title="Streamlit",
    role=ServiceRole.APP,
    names=("streamlit",),
    images=("streamlit",),
    ports=(8501,),
    source="docs.streamlit.io, server.port",
    dated="2026-11",
)
