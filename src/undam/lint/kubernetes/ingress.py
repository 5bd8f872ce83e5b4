"""Paths, hosts and class of an Ingress resource."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.kubernetes.resources import Resource, at, text_at
from undam.textfiles.tree import Node, items_of


@dataclass(frozen=True, slots=True, eq=False)
class IngressPath:
    """A path in an Ingress, and the Service that serves it.

    Args:
        service: name of the Service; empty if the path has none.
        port: number or name of its port; empty if there is none.
        node: where the path is written.
    """

    path: str
    service: str
    port: str
    node: Node

    @property
    def upstream(self) -> str:
        """The Service and its port, as ``name:port``."""
        return f"{self.service}:{self.port}" if self.port else self.service


def ingress_paths(ingress: Resource) -> Iterator[IngressPath]:
    """Yield the paths of an Ingress. Its default backend is given the path "/"."""
    default = at(ingress.spec, "defaultBackend") or at(ingress.spec, "backend")
    if default is not None:
        yield _path("/", default, default)
    for rule in items_of(at(ingress.spec, "rules")):
        for one in items_of(at(rule, "http", "paths")):
            prefix = one.get("path")
            yield _path(prefix.text if prefix else "/", one.get("backend"), prefix or one)


def ingress_hosts(ingress: Resource) -> list[str]:
    """Return the host names that an Ingress serves."""
    rules = items_of(at(ingress.spec, "rules"))
    return [host for host in (text_at(rule, "host") for rule in rules) if host]


def ingress_class(ingress: Resource) -> str:
    """Return the class of an Ingress in lower case; empty if no class is set."""
    name = text_at(ingress.spec, "ingressClassName")
    return (name or ingress.annotation_text("kubernetes.io/ingress.class")).lower()


def _path(prefix: str, backend: Node | None, node: Node) -> IngressPath:
    """Create a path. Its backend may use the syntax from before networking.k8s.io/v1."""
    service = at(backend, "service")
    port = text_at(service, "port", "number") or text_at(service, "port", "name")
    return IngressPath(
        prefix,
        text_at(service, "name") or text_at(backend, "serviceName"),
        port or text_at(backend, "servicePort"),
        node,
    )
