"""Streaming Ingresses, and the ConfigMap of the controller."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from undam.lint.dialects.ingress_nginx.parser import PREFIX, StringMap, at, objects_of_kind
from undam.lint.evidence.names import upstream_evidence
from undam.lint.evidence.neighbours import images_in, profile_of_image
from undam.lint.routes import AssessedRoute, RouteHints, RouteOutcome, assess_route
from undam.textfiles.source import Source
from undam.textfiles.tree import Node, items_of, walk

# Ingress classes of other controllers. Any other class name may belong to ingress-nginx.
_OTHER_CLASS = re.compile(
    r"haproxy|traefik|kong|contour|istio|cilium|alb|gce|azure|apisix|higress|openshift|caddy"
)
_CHART = re.compile(
    r"(?:^|[\s{,])[\"']?chart[\"']?[ \t]*[:=][ \t]*[\"']?([a-z][\w./-]*)", re.MULTILINE
)
_F5_PREFIXES = ("nginx.org/", "nginx.com/")

CONFIG_KEYS = frozenset(
    {
        *("proxy-buffering", "proxy-read-timeout", "proxy-send-timeout", "use-gzip", "gzip-types"),
        *("worker-shutdown-timeout", "proxy-buffer-size", "enable-brotli", "brotli-types"),
    }
)
"""Keys of the controller's ConfigMap that affect streams."""


@dataclass(frozen=True, eq=False)
class Ingress:
    """An Ingress, or annotations for an Ingress in the values of a Helm chart.

    Args:
        annotations: its annotations; ``None`` if it has none.
        owner: the node to mark if an annotation is missing.
        all_stream: every path streams, so that changing an annotation affects only streams.
        assessed: the path with the most certain outcome.
        others: the outcomes of its other paths.
        hosts: the host names of its rules.
    """

    annotations: StringMap | None
    owner: Node
    all_stream: bool
    assessed: AssessedRoute
    others: tuple[AssessedRoute, ...] = ()
    hosts: tuple[str, ...] = ()


def find_ingresses(roots: Sequence[Node], hints: RouteHints, source: Source) -> Iterator[Ingress]:
    """Yield the Ingresses for ingress-nginx, streaming or not."""
    seen: set[int] = set()
    for one in objects_of_kind(roots, "Ingress"):
        annotations = at(one, "metadata", "annotations")
        if annotations is not None:
            seen.add(id(annotations))
        if _is_for_nginx(one, annotations):
            yield _ingress(one, annotations, hints, source)
    for root in roots:
        for node in walk(root):
            is_annotated = any(entry.key.text.startswith(PREFIX) for entry in node.entries)
            if is_annotated and id(node) not in seen:
                yield _annotated_values(root, node, hints, source)


def _ingress(one: Node, annotations: Node | None, hints: RouteHints, source: Source) -> Ingress:
    metadata_name = at(one, "metadata", "name")
    sites = [rule.text for rule in _hosts(one)]
    if metadata_name is not None:
        sites.append(metadata_name.text)
    owner = metadata_name or one
    found = []
    for path, to, node in _paths(one):
        assessment = assess_route(path, [to], hints, sites=sites)
        line, _ = source.position((node or owner).start)
        found.append(AssessedRoute(source.path, line, path, to, assessment, path))
    if not found:
        line, _ = source.position(owner.start)
        assessment = assess_route("/", (), hints, sites=sites)
        found.append(AssessedRoute(source.path, line, "/", "", assessment))
    best = max(found, key=lambda route: route.outcome)
    return Ingress(
        StringMap(annotations, PREFIX) if annotations is not None else None,
        owner,
        all(route.outcome is RouteOutcome.STREAMS for route in found),
        best,
        tuple(route for route in found if route is not best),
        tuple(rule.text for rule in _hosts(one)),
    )


def _annotated_values(root: Node, node: Node, hints: RouteHints, source: Source) -> Ingress:
    """Return annotations in Helm chart values as an Ingress for the services in these values."""
    names = [entry.key.text for entry in root.entries]
    images = [image for image in images_in(source.text) if profile_of_image(image)]
    charts = set(_CHART.findall(source.written))
    if len(charts) == 1:  # Argo CD, Flux and Terraform keep the values of a chart beside its name.
        names += [chart.rpartition("/")[2] for chart in charts]
    upstreams = [name for name in (*names, *images) if upstream_evidence(name).score > 0]
    hosts = [
        entry.value.text
        for inner in walk(root)
        for entry in inner.entries
        if entry.key.text == "host" and entry.value.kind == "scalar"
    ]
    line, _ = source.position(node.start)
    assessment = assess_route("/", upstreams, hints, sites=hosts)
    assessed = AssessedRoute(source.path, line, "/", ", ".join(upstreams), assessment)
    streams = assessed.outcome is RouteOutcome.STREAMS
    return Ingress(StringMap(node, PREFIX), node, streams, assessed, hosts=tuple(hosts))


def _hosts(ingress: Node) -> Iterator[Node]:
    for rule in items_of(at(ingress, "spec", "rules")):
        host = rule.get("host")
        if host is not None:
            yield host


def find_config_maps(roots: Iterable[Node]) -> Iterator[StringMap]:
    """Yield the data of each ConfigMap that configures an ingress-nginx controller."""
    for one in objects_of_kind(roots, "ConfigMap"):
        name, data = at(one, "metadata", "name"), one.get("data")
        if name is None or data is None or "nginx" not in name.text:
            continue
        if any(entry.key.text in CONFIG_KEYS for entry in data.entries):
            yield StringMap(data)


def _is_for_nginx(ingress: Node, annotations: Node | None) -> bool:
    """Return whether ingress-nginx serves an Ingress, based on its annotations and class.

    The annotations of the NGINX Ingress Controller of F5, whose class is often ``nginx`` as well,
    begin with ``nginx.org/`` or ``nginx.com/``.
    """
    name = at(ingress, "spec", "ingressClassName")
    if name is None and annotations is not None:
        name = annotations.get("kubernetes.io/ingress.class")
    if name is not None and _OTHER_CLASS.search(name.text.lower()):
        return False
    keys = [entry.key.text for entry in annotations.entries] if annotations else []
    if any(key.startswith(PREFIX) for key in keys):
        return True
    if any(key.startswith(_F5_PREFIXES) for key in keys):
        return False
    return name is not None and "nginx" in name.text


def _paths(ingress: Node) -> Iterator[tuple[str, str, Node | None]]:
    """Yield each path with its service as ``name:port``, and the node of the path."""
    spec = ingress.get("spec")
    default = spec.get("defaultBackend", "backend") if spec else None
    if default is not None:
        yield "/", _service(default), default
    for rule in items_of(spec.get("rules") if spec else None):
        for path in items_of(at(rule, "http", "paths")):
            prefix = path.get("path")
            yield (prefix.text if prefix else "/"), _service(path.get("backend")), prefix


def _service(backend: Node | None) -> str:
    service = backend.get("service") if backend else None
    if service is not None:
        name, port = service.get("name"), at(service, "port", "number")
    else:  # the syntax before networking.k8s.io/v1
        name = backend.get("serviceName") if backend else None
        port = backend.get("servicePort") if backend else None
    return f"{name.text if name else ''}:{port.text if port else ''}"
