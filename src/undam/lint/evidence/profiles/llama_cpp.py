"""Profile that identifies the servers and routes of llama.cpp."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="llama-cpp",
    title="llama.cpp",
    role=ServiceRole.ENGINE,
    names=("llama-cpp", "llamacpp", "llama-server", "llama-swap"),
    images=("ggml-org/llama.cpp", "ggerganov/llama.cpp"),
    source="github.com/ggml-org/llama.cpp, tools/server/README.md",
    dated="2026-11",
)
