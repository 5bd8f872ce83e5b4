"""Ingress controllers, with their annotations and default timeouts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from undam.lint.kubernetes.durations import seconds_in
from undam.lint.kubernetes.ingress import ingress_class
from undam.lint.kubernetes.resources import Resource
from undam.textfiles.tree import Entry

MILLISECONDS = 0.001
_ALB_ATTRIBUTES = "alb.ingress.kubernetes.io/load-balancer-attributes"
_ALB_IDLE = re.compile(r"idle_timeout\.timeout_seconds=(\d{1,6})")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressController:
    """An ingress controller, with the annotations that affect streams.

    Args:
        prefixes: beginnings of its annotations.
        classes: its usual classes of Ingresses.
        idle_keys: annotations that limit silence, the usual one first.
        total_keys: annotations that limit the whole response.
        buffering_keys: annotations that turn response buffering on or off.
        bare_unit_s: unit of a limit that is a bare number, in seconds.
        idle_s: idle timeout without an annotation; ``None`` if there is none.
        total_s: limit on the whole response without an annotation; ``None`` if there is none.
        raised: value of the usual annotation that is longer than any stream.
    """

    name: str
    title: str
    prefixes: tuple[str, ...]
    classes: re.Pattern[str]
    idle_keys: tuple[str, ...] = ()
    total_keys: tuple[str, ...] = ()
    buffering_keys: tuple[str, ...] = ()
    bare_unit_s: float = 1.0
    idle_s: float | None = None
    total_s: float | None = None
    raised: str = "3600s"


AWS = IngressController(
    name="aws-alb",
    title="AWS Load Balancer Controller",
    prefixes=("alb.ingress.kubernetes.io/",),
    classes=re.compile(r"alb(?:-.*)?"),
    idle_keys=(_ALB_ATTRIBUTES,),
    idle_s=60.0,
    raised="idle_timeout.timeout_seconds=3600",
)
GKE = IngressController(
    name="gke-ingress",
    title="GKE Ingress",
    prefixes=("networking.gke.io/", "ingress.gcp.kubernetes.io/"),
    classes=re.compile(r"gce(?:-internal)?"),
    total_s=30.0,
)
F5 = IngressController(
    name="f5-nginx-ingress",
    title="F5 NGINX Ingress Controller",
    prefixes=("nginx.org/", "nginx.com/"),
    classes=re.compile(r"nginx-plus|f5-nginx|nginx-inc"),
    idle_keys=("nginx.org/proxy-read-timeout",),
    buffering_keys=("nginx.org/proxy-buffering",),
    idle_s=60.0,
)
KONG = IngressController(
    name="kong",
    title="Kong",
    prefixes=("konghq.com/",),
    classes=re.compile(r"kong(?:-.*)?"),
    idle_keys=("konghq.com/read-timeout",),
    buffering_keys=("konghq.com/response-buffering",),
    bare_unit_s=MILLISECONDS,
    idle_s=60.0,
    raised="3600000",
)
APISIX = IngressController(
    name="apisix",
    title="Apache APISIX",
    prefixes=("k8s.apisix.apache.org/",),
    classes=re.compile(r"apisix(?:-.*)?"),
    idle_keys=("k8s.apisix.apache.org/upstream-read-timeout",),
    idle_s=60.0,
)
HAPROXY = IngressController(
    name="haproxy-ingress",
    title="HAProxy Ingress",
    prefixes=("haproxy-ingress.github.io/", "haproxy.org/"),
    classes=re.compile(r"haproxy(?:-.*)?"),
    idle_keys=("haproxy-ingress.github.io/timeout-server", "haproxy.org/timeout-server"),
    bare_unit_s=MILLISECONDS,
    idle_s=50.0,
)
CONTOUR = IngressController(
    name="contour",
    title="Contour",
    prefixes=("projectcontour.io/",),
    classes=re.compile(r"contour(?:-.*)?"),
    total_keys=("projectcontour.io/response-timeout",),
    total_s=15.0,
    raised="infinity",
)
OPENSHIFT = IngressController(
    name="openshift-router",
    title="the OpenShift router",
    prefixes=("haproxy.router.openshift.io/",),
    classes=re.compile(r"openshift(?:-.*)?"),
    idle_keys=("haproxy.router.openshift.io/timeout",),
    bare_unit_s=MILLISECONDS,
    idle_s=30.0,
)
AZURE = IngressController(
    name="azure-application-gateway",
    title="Azure Application Gateway",
    prefixes=("appgw.ingress.kubernetes.io/",),
    classes=re.compile(r"azure.*"),
    idle_keys=("appgw.ingress.kubernetes.io/request-timeout",),
    raised="3600",
)
EMISSARY = IngressController(
    name="emissary",
    title="Emissary-ingress",
    prefixes=("getambassador.io/",),
    classes=re.compile(r"ambassador(?:-.*)?"),
    bare_unit_s=MILLISECONDS,
    total_s=3.0,
    raised="0",
)
CONTROLLERS = (AWS, GKE, F5, KONG, APISIX, HAPROXY, CONTOUR, OPENSHIFT, AZURE)


def controller_of(ingress: Resource) -> IngressController | None:
    """Return the controller that serves an Ingress, based on its class and annotations."""
    keys = [
        entry.key.text for entry in (ingress.annotations.entries if ingress.annotations else ())
    ]
    for one in CONTROLLERS:
        if any(key.startswith(one.prefixes) for key in keys):
            return one
    name = ingress_class(ingress)
    return next((one for one in CONTROLLERS if name and one.classes.fullmatch(name)), None)


def seconds_of(entry: Entry, controller: IngressController) -> float | None:
    """Return the limit in an annotation, in seconds; ``None`` if there is no valid limit."""
    if entry.key.text == _ALB_ATTRIBUTES:
        found = _ALB_IDLE.search(entry.value.text)
        return float(found[1]) if found else None
    return seconds_in(entry.value.text, bare_unit_s=controller.bare_unit_s)


def raised_text(entry: Entry, controller: IngressController) -> str:
    """Return an annotation value with a limit that is longer than any stream."""
    if entry.key.text != _ALB_ATTRIBUTES:
        return controller.raised
    return _ALB_IDLE.sub(controller.raised, entry.value.text)
