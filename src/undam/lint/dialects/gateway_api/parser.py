"""Gateway API implementations, and the targets of policies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.kubernetes.cluster import Cluster
from undam.lint.kubernetes.resources import Resource, at, text_at
from undam.textfiles.tree import items_of


@dataclass(frozen=True, slots=True)
class GatewayImplementation:
    """A Gateway controller, with the timeouts that apply to routes without timeouts.

    Args:
        controllers: beginnings of the `controllerName` of its GatewayClasses.
        classes: usual names of its GatewayClasses.
        gateways: usual names of Gateways that no file defines.
        groups: API groups of its own resources.
        total_s: limit on the whole response; ``None`` if there is none.
        idle_s: limit on the silence of a stream; ``None`` if there is none.
        is_route_obeyed: the `timeouts` of an HTTPRoute replace the default.
    """

    name: str
    title: str
    controllers: tuple[str, ...]
    classes: re.Pattern[str]
    gateways: re.Pattern[str]
    groups: tuple[str, ...]
    total_s: float | None = None
    idle_s: float | None = None
    is_route_obeyed: bool = True


_NONE = re.compile(r"(?!)")

ENVOY_GATEWAY = GatewayImplementation(
    "envoy-gateway",
    "Envoy Gateway",
    ("gateway.envoyproxy.io/",),
    re.compile(r"eg|envoy|envoy-.*|.*-envoy|.*envoy-gateway.*|.*envoy-ai-gateway.*"),
    re.compile(r"eg|.*envoy-(?:ai-)?gateway.*"),
    ("gateway.envoyproxy.io", "aigateway.envoyproxy.io"),
    total_s=15.0,
    idle_s=300.0,
)
ENVOY_AI_GATEWAY = GatewayImplementation(
    "envoy-ai-gateway", "Envoy AI Gateway", (), _NONE, _NONE, (), total_s=60.0
)
NGINX_GATEWAY_FABRIC = GatewayImplementation(
    "nginx-gateway-fabric",
    "NGINX Gateway Fabric",
    ("gateway.nginx.org/",),
    re.compile(r"nginx(?:-.*)?"),
    re.compile(r"nginx-gateway.*"),
    ("gateway.nginx.org",),
    idle_s=60.0,
)
_IMPLEMENTATIONS = (
    ENVOY_GATEWAY,
    NGINX_GATEWAY_FABRIC,
    GatewayImplementation(
        "kgateway",
        "kgateway",
        ("kgateway.dev/kgateway",),
        re.compile(r"kgateway|gloo-gateway"),
        re.compile(r"kgateway.*"),
        ("gateway.kgateway.dev",),
        total_s=15.0,
        idle_s=300.0,
    ),
    GatewayImplementation(
        "contour",
        "Contour",
        ("projectcontour.io/",),
        re.compile(r"contour.*"),
        re.compile(r"contour.*"),
        ("projectcontour.io",),
        total_s=15.0,
        idle_s=300.0,
    ),
    GatewayImplementation(
        "gke-gateway",
        "GKE Gateway",
        ("networking.gke.io/",),
        re.compile(r"gke-l7-.*"),
        re.compile(r"gke-l7-.*"),
        ("networking.gke.io",),
        total_s=30.0,
        is_route_obeyed=False,
    ),
    GatewayImplementation(
        "istio",
        "Istio",
        ("istio.io/", "openshift.io/"),
        re.compile(r"istio.*|openshift-default|data-science-gateway-class"),
        re.compile(r"istio-.*"),
        (),
    ),
    GatewayImplementation(
        "traefik", "Traefik", ("traefik.io/",), re.compile(r"traefik.*"), re.compile(r"traefik.*"),
        (),
    ),
    GatewayImplementation(
        "agentgateway",
        "agentgateway",
        ("agentgateway.dev/",),
        re.compile(r"agentgateway.*"),
        re.compile(r"agentgateway.*"),
        ("agentgateway.dev",),
    ),
    GatewayImplementation(
        "kong", "Kong", ("konghq.com/",), re.compile(r"kong.*"), re.compile(r"kong.*"), (),
        idle_s=60.0,
    ),
    GatewayImplementation(
        "apisix", "Apache APISIX", ("apisix.apache.org/",), re.compile(r"apisix.*"),
        re.compile(r"apisix.*"), (), idle_s=60.0,
    ),
)  # fmt: skip
OTHER = GatewayImplementation("other", "another controller", (), _NONE, _NONE, ())
"""A controller whose name is known but whose defaults are not."""


def implementation_of(gateways: tuple[str, ...], cluster: Cluster) -> GatewayImplementation | None:
    """Return the implementation that serves the Gateways; ``None`` if it cannot be identified."""
    for name in gateways:
        gateway = cluster.named("Gateway", name)
        class_name = text_at(gateway.spec, "gatewayClassName") if gateway else ""
        known = cluster.named("GatewayClass", class_name) if class_name else None
        controller = text_at(known.spec, "controllerName") if known else ""
        if controller:
            return next(
                (one for one in _IMPLEMENTATIONS if controller.startswith(one.controllers)), OTHER
            )
        for one in _IMPLEMENTATIONS:
            if class_name and one.classes.fullmatch(class_name):
                return one
            if gateway is None and one.gateways.fullmatch(name):
                return one
    shown = [one for one in _IMPLEMENTATIONS if not cluster.groups.isdisjoint(one.groups)]
    return shown[0] if len(shown) == 1 else None


@dataclass(frozen=True, slots=True)
class PolicyTarget:
    """The kind and name of a resource that a policy applies to.

    Args:
        section: the rule or listener inside it; empty for all of them.
    """

    kind: str
    name: str
    section: str = ""


def targets_of(policy: Resource) -> Iterator[PolicyTarget]:
    """Yield the targets that are named in a policy."""
    single = at(policy.spec, "targetRef")
    for ref in (*((single,) if single else ()), *items_of(at(policy.spec, "targetRefs"))):
        yield PolicyTarget(text_at(ref, "kind"), text_at(ref, "name"), text_at(ref, "sectionName"))


def has_selector(policy: Resource) -> bool:
    """Return whether a policy selects its targets by labels."""
    return at(policy.spec, "targetSelectors") is not None
