"""Ingresses that stream, and the ConfigMap of the controller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from undam.lint.dialects.ingress_nginx.parser import PREFIX, StringMap, at, objects_of_kind
from undam.lint.routes import RouteHints, StreamLikelihood, classify_route
from undam.textfiles.tree import Node, items_of

CONFIG_KEYS = frozenset(
    {
        *("proxy-buffering", "proxy-read-timeout", "proxy-send-timeout", "use-gzip", "gzip-types"),
        *("worker-shutdown-timeout", "proxy-buffer-size", "enable-brotli", "brotli-types"),
    }
)
"""Keys of the controller's ConfigMap that affect streams."""


@dataclass(frozen=True, eq=False)
class Ingress:
    """An Ingress with annotations.

    Args:
        all_stream: every path streams, so that changing an annotation affects only streams.
    """

    annotations: StringMap
    all_stream: bool


def find_ingresses(roots: Iterable[Node], hints: RouteHints) -> Iterator[Ingress]:
    """Yield the Ingresses of ingress-nginx with annotations and at least one streaming path."""
    for one in objects_of_kind(roots, "Ingress"):
        annotations = at(one, "metadata", "annotations")
        if annotations is None or not _is_for_nginx(one, annotations):
            continue
        likelihoods = [classify_route(path, [to], hints) for path, to in _paths(one)]
        if any(likelihood is not StreamLikelihood.NO for likelihood in likelihoods):
            all_stream = StreamLikelihood.NO not in likelihoods
            yield Ingress(StringMap(annotations, PREFIX), all_stream)


def find_config_maps(roots: Iterable[Node]) -> Iterator[StringMap]:
    """Yield the data of the ConfigMaps that configure a controller."""
    for one in objects_of_kind(roots, "ConfigMap"):
        name, data = at(one, "metadata", "name"), one.get("data")
        if name is None or data is None or "nginx" not in name.text:
            continue
        if any(entry.key.text in CONFIG_KEYS for entry in data.entries):
            yield StringMap(data)


def _is_for_nginx(ingress: Node, annotations: Node) -> bool:
    """Return whether ingress-nginx serves it, by its class or else by its annotations."""
    name = at(ingress, "spec", "ingressClassName") or annotations.get("kubernetes.io/ingress.class")
    if name is not None:
        return "nginx" in name.text
    return any(entry.key.text.startswith(PREFIX) for entry in annotations.entries)


def _paths(ingress: Node) -> Iterator[tuple[str, str]]:
    """Yield each path with its service, as ``name:port``."""
    spec = ingress.get("spec")
    default = spec.get("defaultBackend", "backend") if spec else None
    if default is not None:
        yield "/", _service(default)
    for rule in items_of(spec.get("rules") if spec else None):
        for path in items_of(at(rule, "http", "paths")):
            prefix = path.get("path")
            yield (prefix.text if prefix else "/"), _service(path.get("backend"))


def _service(backend: Node | None) -> str:
    service = backend.get("service") if backend else None
    if service is not None:
        name, port = service.get("name"), at(service, "port", "number")
    else:  # the syntax before networking.k8s.io/v1
        name = backend.get("serviceName") if backend else None
        port = backend.get("servicePort") if backend else None
    return f"{name.text if name else ''}:{port.text if port else ''}"
