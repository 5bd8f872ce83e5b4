"""Accessors for middleware references, and for the arguments of a Traefik Deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.resources import Resource, at, text_at
from undam.textfiles.tree import Entry, Node, items_of, walk

MIDDLEWARES = "traefik.ingress.kubernetes.io/router.middlewares"
WRITE_TIMEOUT = re.compile(
    r"--entrypoints\.(?P<name>[\w-]{1,60})\.transport\.respondingtimeouts\.writetimeout"
    r"=(?P<limit>[\w.]{1,20})",
    re.IGNORECASE,
)
_PROVIDER = "@kubernetescrd"
# Real routes use few middlewares. This limit stops reference cycles.
_MAX_FOLLOWED = 50


@dataclass(frozen=True, slots=True)
class MiddlewareUse:
    """A middleware that a route uses.

    Args:
        resource: the middleware.
        reference: where the route refers to it, directly or through a chain.
        listed: the list that names it, and the item; ``None`` if the route does not list it itself.
    """

    resource: Resource
    reference: Node
    listed: tuple[Entry, Node] | None


def middlewares_of(
    references: list[tuple[str, Node, tuple[Entry, Node] | None]], cluster: Cluster
) -> Iterator[MiddlewareUse]:
    """Yield the known middlewares behind the references, directly or through chains.

    Args:
        references: the name, the node that refers to it, and its place in a list.
    """
    pending = list(references)
    seen: set[str] = set()
    while pending and len(seen) < _MAX_FOLLOWED:
        name, reference, listed = pending.pop(0)
        resource = _middleware(name, cluster)
        if resource is None or name in seen:
            continue
        seen.add(name)
        yield MiddlewareUse(resource, reference, listed)
        chained = items_of(at(resource.spec, "chain", "middlewares"))
        pending += ((text_at(inner, "name"), reference, None) for inner in chained)


def references_in(listing: Entry | None) -> list[tuple[str, Node, tuple[Entry, Node] | None]]:
    """Return the middleware references in a route's `middlewares` list."""
    if listing is None:
        return []
    return [
        (text_at(item, "name"), item.get("name") or item, (listing, item))
        for item in items_of(listing.value)
    ]


def references_in_annotation(
    entry: Entry,
) -> list[tuple[str, Node, tuple[Entry, Node] | None]]:
    """Return the comma-separated middleware references in an Ingress annotation."""
    return [(name.strip(), entry.key, None) for name in entry.value.text.split(",")]


def write_timeouts(deployment: Resource) -> Iterator[tuple[Node, str, str]]:
    """Yield each argument that limits the response time, with its entry point and limit."""
    for node in walk(deployment.node):
        found = WRITE_TIMEOUT.search(node.text) if node.kind == "scalar" else None
        if found is not None:
            yield node, found["name"], found["limit"]


def _middleware(name: str, cluster: Cluster) -> Resource | None:
    """Return the middleware with this name, which may have a namespace prefix."""
    local = name.removesuffix(_PROVIDER)
    exact = cluster.named("Middleware", local)
    if exact is not None or not name.endswith(_PROVIDER):
        return exact
    return next(
        (one for one in cluster.all_of("Middleware") if local.endswith(f"-{one.name}")), None
    )
