"""Profile that identifies the servers and routes of FastGPT."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="fastgpt",
    title="FastGPT",
    role=ServiceRole.APP,
    names=("fastgpt", "fast-gpt"),
    images=("labring/fastgpt",),
    paths=("api/v1/chat/completions",),
    source="github.com/labring/FastGPT, deploy/docker",
    dated="2026-11",
)
