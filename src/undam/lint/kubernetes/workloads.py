"""Programs that run in a cluster: the container images and commands behind its Services."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from undam.lint.evidence.names import profile_named
from undam.lint.evidence.neighbours import ServiceWitness, heartbeat_in, profile_of_image
from undam.lint.evidence.profile import ServiceProfile, ServiceRole
from undam.lint.kubernetes.resources import Resource, at, is_known, text_at
from undam.textfiles.tree import Node, items_of

_WORKLOADS = frozenset({
    "Deployment", "StatefulSet", "DaemonSet", "Pod", "Rollout", "LeaderWorkerSet", "ReplicaSet",
})  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Pods of a Deployment or a similar resource.

    Args:
        labels: labels of its pods, by which Services select them.
        image: image of the container whose program streams, or else of the first one.
        command: command and arguments of this container, joined by spaces.
        profile: the program that the image or the command shows; ``None`` if it is unknown.
        ports: ports that the container names.
        grace_s: time that a pod has to end its streams when it is stopped.
        has_pre_stop: whether a hook delays the end of the container.
        has_readiness: whether a probe decides when the pod receives requests.
        heartbeat_s: interval of heartbeats that the flags set; ``None`` if no flag sets one.
    """

    resource: Resource
    labels: dict[str, str]
    image: str
    command: str
    profile: ServiceProfile | None
    ports: tuple[int, ...]
    grace_s: float
    has_pre_stop: bool
    has_readiness: bool
    heartbeat_s: float | None


def workloads_in(resources: Iterable[Resource]) -> Iterator[Workload]:
    """Yield the workloads that the resources define."""
    for one in resources:
        if one.kind not in _WORKLOADS:
            continue
        template = one.node if one.kind == "Pod" else _template(one.spec)
        spec = at(template, "spec")
        containers = list(items_of(at(spec, "containers")))
        if not containers:
            continue
        known = [(container, _profile(container)) for container in containers]
        container, profile = next((pair for pair in known if pair[1] is not None), known[0])
        grace = text_at(spec, "terminationGracePeriodSeconds")
        yield Workload(
            one,
            _labels(at(template, "metadata", "labels")),
            text_at(container, "image"),
            command_of(container),
            profile,
            tuple(_ports(container)),
            float(grace) if grace.isascii() and grace.isdecimal() else 30.0,
            at(container, "lifecycle", "preStop") is not None,
            container.get("readinessProbe") is not None,
            heartbeat_in(command_of(container)),
        )


def command_of(container: Node | None) -> str:
    """Return a container's command and arguments, joined by spaces."""
    parts = [*items_of(at(container, "command")), *items_of(at(container, "args"))]
    return " ".join(part.text for part in parts if part.kind == "scalar")


def engine_in(command: str) -> ServiceProfile | None:
    """Return the inference engine that a command starts; ``None`` for any other program."""
    profile = profile_named(command.lower())
    return profile if profile is not None and profile.role is ServiceRole.ENGINE else None


def service_witnesses(
    resources: Iterable[Resource], workloads: Iterable[Workload]
) -> dict[str, ServiceWitness]:
    """Return evidence, by name, for Services and workloads that run a streaming program."""
    running = [one for one in workloads if one.profile is not None]
    by_label: dict[tuple[str, str], list[Workload]] = {}
    for one in running:
        for label in one.labels.items():
            by_label.setdefault(label, []).append(one)
    found: dict[str, ServiceWitness] = {}
    for service in resources:
        if service.kind != "Service" or service.group or not is_known(service.name):
            continue
        selector = _labels(at(service.spec, "selector"))
        for one in by_label.get(next(iter(selector.items()), ("", "")), ()):
            if selector.items() <= one.labels.items():
                found[service.name.lower()] = ServiceWitness(
                    service.name, one.resource.source.path, one.image, one.profile
                )
                break
    for one in running:
        name = one.resource.name
        if is_known(name):
            witness = ServiceWitness(name, one.resource.source.path, one.image, one.profile)
            found.setdefault(name.lower(), witness)
    return found


def _template(spec: Node | None) -> Node | None:
    return at(spec, "template") or at(spec, "leaderWorkerTemplate", "workerTemplate")


def _profile(container: Node) -> ServiceProfile | None:
    return profile_of_image(text_at(container, "image")) or engine_in(command_of(container))


def _labels(node: Node | None) -> dict[str, str]:
    entries = node.entries if node else ()
    return {one.key.text: one.value.text for one in entries if one.value.kind == "scalar"}


def _ports(container: Node) -> Iterator[int]:
    for port in items_of(at(container, "ports")):
        number = text_at(port, "containerPort")
        if number.isascii() and number.isdecimal() and len(number) < 6:
            yield int(number)
