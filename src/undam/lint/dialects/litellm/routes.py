"""Models in a LiteLLM configuration. Each model is a route of the gateway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from undam.lint.dialects.litellm.parser import at, entry_at, seconds_of, text_at
from undam.lint.evidence.hop import Hop, Tier
from undam.lint.routes import AssessedRoute, Assessment, RouteHints, RouteOutcome, assess_route
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry, Node, items_of

_DEFAULT_TOTAL_S = 6000.0
_DEFAULT_PORT = 4000
# A chart's values have the configuration below `proxy_config`, possibly below a subchart's name.
_MAX_LEVELS = 4
_NOT_CHAT = frozenset({"embedding", "rerank", "image_generation", "audio_transcription"})


@dataclass(frozen=True, slots=True)
class LiteLlmModel:
    """A deployment of a model.

    Args:
        parameters: its ``litellm_params``.
        assessed: the model as a route.
    """

    parameters: Node | None
    assessed: AssessedRoute


def find_config(roots: Iterable[Node]) -> Node | None:
    """Return the first map with a model list: a whole document, or a part of a chart's values."""
    level = list(roots)
    for _ in range(_MAX_LEVELS):
        for node in level:
            models = node.get("model_list")
            if models is not None and models.kind == "list":
                return node
        level = [entry.value for node in level for entry in node.entries]
    return None


def find_models(root: Node, hints: RouteHints, source: Source) -> Iterator[LiteLlmModel]:
    """Yield the models in the configuration. Chat completions can always be streamed."""
    models = [one for one in items_of(root.get("model_list")) if one.kind == "map"]
    hop = _hop(root, models, source)
    for node in models:
        name = text_at(node, "model_name") or "model"
        upstream = _upstream_of(node)
        line, _ = source.position(node.start)
        if hints.paths:
            assessment = assess_route("/v1/chat/completions", (), hints)
        elif text_at(node, "model_info", "mode") in _NOT_CHAT:
            assessment = Assessment(RouteOutcome.UNKNOWN)
        else:
            assessment = Assessment(RouteOutcome.STREAMS, ("LiteLLM relays the streams of models",))
        route = AssessedRoute(source.path, line, name, upstream, assessment)
        if assessment.outcome is RouteOutcome.STREAMS:
            route, hop = replace(route, hop=hop), None
        yield LiteLlmModel(node.get("litellm_params"), route)


def _hop(root: Node, models: list[Node], source: Source) -> Hop | None:
    """Return a single hop that represents the gateway for all its models."""
    if not models:
        return None
    line, _ = source.position(models[0].start)
    total = next((one for one in total_limits(root) if seconds_of(one) is not None), None)
    heartbeat = seconds_of(entry_at(root, "general_settings", HEARTBEAT))
    return Hop(
        Tier.GATEWAY,
        "LiteLLM",
        source.path,
        line,
        ("litellm", f":{_DEFAULT_PORT}"),
        tuple(dict.fromkeys(filter(None, map(_upstream_of, models)))),
        idle_limit_s=None,
        total_limit_s=seconds_of(total) if total is not None else _DEFAULT_TOTAL_S,
        heartbeat_s=heartbeat or None,
        total_at=None if total is None else (source.path, source.position(total.key.start)[0]),
        drops_heartbeats=True,
    )


HEARTBEAT = "sse_keepalive_ping_interval_seconds"
"""The setting with which LiteLLM sends heartbeats to its clients."""


def total_limits(root: Node) -> Iterator[Entry]:
    """Yield the gateway-wide limits on a whole response; the first one is effective."""
    for names in (("router_settings", "timeout"), ("litellm_settings", "request_timeout")):
        entry = entry_at(root, *names)
        if entry is not None:
            yield entry


def _upstream_of(model: Node) -> str:
    base = text_at(model, "litellm_params", "api_base")
    if base and not base.startswith("os.environ/"):
        return base
    provider = text_at(model, "litellm_params", "model").partition("/")[0]
    return f"{provider} API" if provider else ""


def guardrails_of(root: Node) -> Iterator[Node]:
    """Yield the parameters of each guardrail."""
    for one in items_of(root.get("guardrails")):
        parameters = at(one, "litellm_params")
        if parameters is not None:
            yield parameters
