"""Ingresses and the controller's ConfigMap in a manifest, and which Ingresses stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from undam.lint.routes import RouteHints, StreamLikelihood, classify_route
from undam.textfiles.tree import Entry, Node, items_of

PREFIX = "nginx.ingress.kubernetes.io/"

CONFIG_KEYS = frozenset(
    {
        *("proxy-buffering", "proxy-read-timeout", "proxy-send-timeout", "use-gzip", "gzip-types"),
        *("worker-shutdown-timeout", "proxy-buffer-size", "enable-brotli", "brotli-types"),
    }
)
"""Keys of the controller's ConfigMap that matter to streams."""

_MAX_LISTS = 8


@dataclass(frozen=True, eq=False)
class Values:
    """A map of texts: the annotations of an Ingress, or the data of the ConfigMap."""

    node: Node
    prefix: str = ""

    def entry(self, name: str) -> Entry | None:
        """The entry of a key, which is a text."""
        found = self.node.entry(self.prefix + name)
        return found if found and found.value.kind == "scalar" else None

    def value(self, name: str) -> str:
        """Its value, without white space around it; empty where there is none."""
        found = self.entry(name)
        return found.value.text.strip() if found else ""


@dataclass(frozen=True, eq=False)
class Ingress:
    """An Ingress with annotations.

    Args:
        all_stream: every path of it streams, so that what is said of it is said of streams only.
    """

    annotations: Values
    all_stream: bool


def find_ingresses(roots: Iterable[Node], hints: RouteHints) -> Iterator[Ingress]:
    """Those of ingress-nginx that have annotations and at least one path that streams."""
    for thing in _things(roots, "Ingress"):
        annotations = _at(thing, "metadata", "annotations")
        if annotations is None or not _is_ours(thing, annotations):
            continue
        judged = [classify_route(path, [to], hints) for path, to in _paths(thing)]
        if any(one is not StreamLikelihood.NO for one in judged):
            yield Ingress(Values(annotations, PREFIX), StreamLikelihood.NO not in judged)


def find_config_maps(roots: Iterable[Node]) -> Iterator[Values]:
    """The data of ConfigMaps that are a controller's."""
    for thing in _things(roots, "ConfigMap"):
        name, data = _at(thing, "metadata", "name"), thing.get("data")
        if name is None or data is None or "nginx" not in name.text:
            continue
        if any(entry.key.text in CONFIG_KEYS for entry in data.entries):
            yield Values(data)


def _things(roots: Iterable[Node], kind: str) -> Iterator[Node]:
    """The objects of a kind, also those in lists."""
    level = list(roots)
    for _ in range(_MAX_LISTS):
        inner: list[Node] = []
        for one in level:
            found = one.get("kind")
            if found is not None and found.text == kind:
                yield one
            elif found is not None and found.text.endswith("List"):
                inner += items_of(one.get("items"))
        level = inner


def _is_ours(thing: Node, annotations: Node) -> bool:
    """Whether ingress-nginx takes it: by its class, or without one by its annotations."""
    named = _at(thing, "spec", "ingressClassName") or annotations.get("kubernetes.io/ingress.class")
    if named is not None:
        return "nginx" in named.text
    return any(entry.key.text.startswith(PREFIX) for entry in annotations.entries)


def _paths(thing: Node) -> Iterator[tuple[str, str]]:
    """Each path with the service it leads to, as ``name:port``."""
    spec = thing.get("spec")
    default = spec.get("defaultBackend", "backend") if spec else None
    if default is not None:
        yield "/", _service(default)
    for rule in items_of(spec.get("rules") if spec else None):
        for path in items_of(_at(rule, "http", "paths")):
            prefix = path.get("path")
            yield (prefix.text if prefix else "/"), _service(path.get("backend"))


def _service(backend: Node | None) -> str:
    service = backend.get("service") if backend else None
    if service is not None:
        name, port = service.get("name"), _at(service, "port", "number")
    else:  # as it was written before networking.k8s.io/v1
        name = backend.get("serviceName") if backend else None
        port = backend.get("servicePort") if backend else None
    return f"{name.text if name else ''}:{port.text if port else ''}"


def _at(node: Node | None, *names: str) -> Node | None:
    for name in names:
        node = node.get(name) if node else None
    return node
