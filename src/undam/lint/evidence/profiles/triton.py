"""Profile that identifies the servers and routes of Triton and TensorRT-LLM."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="triton",
    title="Triton and TensorRT-LLM",
    role=ServiceRole.ENGINE,
    names=("triton", "tritonserver", "tensorrt-llm", "trtllm"),
    images=("nvidia/tritonserver", "tensorrt-llm/release"),
    paths=("generate_stream",),
    source="docs.nvidia.com, Triton Inference Server, generate extension",
    dated="2026-11",
)
