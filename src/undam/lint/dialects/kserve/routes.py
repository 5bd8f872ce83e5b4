"""Streaming components of InferenceServices and Knative Services."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from undam.lint.dialects.kserve.parser import ServingComponent, components_of
from undam.lint.evidence.hop import Hop, Tier, limit_s
from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.durations import seconds_in
from undam.lint.kubernetes.resources import Resource, entry_at, text_at
from undam.lint.routes import AssessedRoute, Assessment, RouteOutcome, assess_route

KNATIVE_DEFAULT_S = 300.0


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """A serving component with its assessed route."""

    component: ServingComponent
    assessed: AssessedRoute


def find_models(cluster: Cluster, resources: Iterable[Resource]) -> Iterator[ServedModel]:
    """Yield the components of the resources, streaming or not."""
    for resource in resources:
        for one in components_of(resource):
            yield ServedModel(one, _assess(one, cluster))


def _assess(one: ServingComponent, cluster: Cluster) -> AssessedRoute:
    resource = one.resource
    names = [resource.name, text_at(one.node, "model", "runtime")]
    if one.excludes_streams and not cluster.settings.stream_paths:
        assessment = Assessment(RouteOutcome.UNKNOWN, ("its model does not generate text",))
    else:
        assessment = assess_route("/", [name for name in names if name], cluster.hints)
        if one.program and not cluster.settings.stream_paths:
            assessment = Assessment(RouteOutcome.STREAMS, (one.program,))
    entry = entry_at(one.node, one.timeout_key)
    seconds = seconds_in(entry.value.text) if entry else None
    if entry is None:
        total_s = KNATIVE_DEFAULT_S if one.is_serverless else None
    else:
        total_s = limit_s(seconds)
    idle = entry_at(one.node, "idleTimeoutSeconds")
    hop = Hop(
        Tier.GATEWAY,
        "Knative" if one.is_serverless else "KServe",
        resource.source.path,
        resource.line,
        names=(resource.name, f"{resource.name}-predictor") if resource.name else (),
        idle_limit_s=limit_s(seconds_in(idle.value.text)) if idle else math.inf,
        total_limit_s=total_s,
        buffers=False,
        total_at=resource.at(entry.key.start) if entry else None,
    )
    return AssessedRoute(
        resource.source.path, resource.line, "/", resource.name, assessment, "/", hop
    )
