"""Accessors for Istio resources: HTTP routes, their destinations, and EnvoyFilter patches."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.kubernetes.resources import Resource, at, text_at
from undam.lint.routes import PathMatch
from undam.textfiles.tree import Node, items_of

GROUP = "networking.istio.io"
_MATCHES = {"prefix": PathMatch.PREFIX, "exact": PathMatch.PREFIX, "regex": PathMatch.REGEX}


def paths_of(route: Node) -> Iterator[tuple[str, PathMatch, Node | None]]:
    """Yield the paths that an HTTP route matches, or "/" if it matches every path."""
    matches = list(items_of(route.get("match")))
    for match in matches:
        uri = match.get("uri")
        entry = next(
            (one for one in (uri.entries if uri else ()) if one.key.text in _MATCHES), None
        )
        if entry is None:
            yield "/", PathMatch.PREFIX, match
        else:
            yield entry.value.text, _MATCHES[entry.key.text], entry.value
    if not matches:
        yield "/", PathMatch.PREFIX, None


def destinations_of(route: Node) -> list[str]:
    """Return the destinations of an HTTP route, each as ``host:port``."""
    found = []
    for one in items_of(route.get("route")):
        host = text_at(one, "destination", "host")
        port = text_at(one, "destination", "port", "number")
        found.append(host + (f":{port}" if port else ""))
    return found


def service_name(host: str) -> str:
    """Return the Service name in a cluster-internal host name, such as ``vllm.ns.svc…``."""
    name, _, rest = host.partition(":")[0].partition(".")
    return name if not rest or ".svc" in f".{rest}" else host.partition(":")[0]


def patches_of(envoy_filter: Resource) -> Iterator[Node]:
    """Yield the values of the patches in an EnvoyFilter."""
    for patch in items_of(at(envoy_filter.spec, "configPatches")):
        value = at(patch, "patch", "value")
        if value is not None:
            yield value
