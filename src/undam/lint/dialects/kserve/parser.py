"""Parser for the components of InferenceServices, and for Knative Service templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.evidence.neighbours import profile_of_image
from undam.lint.kubernetes.resources import Resource, at, text_at
from undam.lint.kubernetes.workloads import command_of, engine_in
from undam.textfiles.tree import Node, items_of

COMPONENTS = ("predictor", "transformer", "explainer")
_MODE = "serving.kserve.io/deploymentMode"
# Model formats that return numbers instead of a token stream.
_NO_STREAM_FORMATS = frozenset({
    "sklearn", "xgboost", "lightgbm", "pmml", "paddle", "tensorflow", "onnx", "mlflow", "pytorch",
})  # fmt: skip
_STREAM_FORMATS = frozenset({"huggingface", "vllm", "llm", "sglang", "tgi"})
_TASK = re.compile(r"--task[= ](?P<task>[\w-]+)")
_GENERATING = re.compile(r"text[-_]?(?:2text[-_]?)?generation|generate|chat", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class ServingComponent:
    """A serving component whose requests have a timeout.

    Args:
        node: where the timeouts are.
        timeout_key: name of the field with the limit on the whole response.
        is_serverless: it is served by Knative; ``None`` if nothing shows it.
        program: a program that streams, as a phrase; empty if nothing shows one.
        excludes_streams: its model does not generate tokens.
    """

    resource: Resource
    node: Node
    timeout_key: str
    is_serverless: bool | None
    program: str
    excludes_streams: bool


def components_of(resource: Resource) -> Iterator[ServingComponent]:
    """Yield the components of an InferenceService or Knative Service."""
    if resource.kind == "InferenceService":
        for name in COMPONENTS:
            node = at(resource.spec, name)
            if node is not None and node.kind == "map":
                program, excludes = _program(node)
                mode = _is_serverless(resource)
                yield ServingComponent(resource, node, "timeout", mode, program, excludes)
    elif resource.kind == "Service" and resource.group == "serving.knative.dev":
        node = at(resource.spec, "template", "spec")
        if node is not None:
            program, excludes = _program(node)
            yield ServingComponent(resource, node, "timeoutSeconds", True, program, excludes)


def _is_serverless(resource: Resource) -> bool | None:
    """Return whether Knative serves an InferenceService, based on its annotations."""
    mode = resource.annotation_text(_MODE).lower()
    if mode:
        return mode in {"serverless", "knative"}
    keys = [
        entry.key.text for entry in (resource.annotations.entries if resource.annotations else ())
    ]
    if any("knative.dev/" in key for key in keys):
        return True
    return None


def _program(node: Node) -> tuple[str, bool]:
    """Return evidence that a component streams (or ""), and whether its model cannot stream."""
    model = node.get("model")
    containers = [*((model,) if model else ()), *items_of(node.get("containers"))]
    command = " ".join(map(command_of, containers))
    found = _TASK.search(command)
    task = found["task"] if found else ""
    if task and not _GENERATING.search(task):
        return "", True
    for one in containers:
        profile = profile_of_image(text_at(one, "image")) or engine_in(command_of(one))
        if profile is not None:
            return f"it runs {profile.title}", False
    kind = text_at(model, "modelFormat", "name").lower()
    if kind in _NO_STREAM_FORMATS:
        return "", True
    is_old_format = any(node.get(name) is not None for name in _NO_STREAM_FORMATS)
    if kind in _STREAM_FORMATS:
        return f"its model format is {kind}", False
    return "", is_old_format
