"""Profile that identifies the servers and routes of Open WebUI."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="open-webui",
    title="Open WebUI",
    role=ServiceRole.APP,
    names=("open-webui", "openwebui"),
    images=("open-webui/open-webui",),
    source="github.com/open-webui/open-webui; docs.openwebui.com, NGINX",
    dated="2026-11",
)
