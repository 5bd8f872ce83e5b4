"""Profile that identifies the servers and routes of Gradio."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="gradio",
    title="Gradio",
    role=ServiceRole.APP,
    names=("gradio",),
    ports=(7860,),
    paths=("gradio_api", "queue/join", "queue/data"),
    source="gradio.app, guide Running Gradio behind Nginx",
    dated="2026-11",
)
