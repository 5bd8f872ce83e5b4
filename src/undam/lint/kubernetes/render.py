"""Rendering of a Service for a server that is inside or outside the cluster."""

from __future__ import annotations

import re

from undam.errors import UsageError
from undam.lint.dialect import RenderRequest

_UPSTREAM = re.compile(r"http://([A-Za-z0-9.-]{1,253})(?::(\d{1,5}))?/?")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")

INGRESS_RULES = """\
  rules:
    - http:
        paths:
          - path: {path}
            pathType: Prefix
            backend:
              service:
                name: model
                port:
                  number: {port}
---
{service}"""
"""Rules of an Ingress, and a place for the manifests of its Service."""

_SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: model
spec:
{spec}"""
_NAMED = """\
  type: ExternalName
  externalName: {host}
  ports:
    - port: {port}
"""
_ADDRESSED = """\
  ports:
    - port: {port}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: model
  labels:
    kubernetes.io/service-name: model
addressType: IPv4
ports:
  - port: {port}
endpoints:
  - addresses: ["{host}"]
"""


def backend_of(request: RenderRequest, resource: str) -> tuple[str, int]:
    """Return the upstream's host and port. The controller decides on which address it listens.

    Args:
        resource: the kind of resource that contains the path, for the error message.

    Raises:
        UsageError: the upstream is not a URL of a host and port, or the path is invalid.
    """
    found = _UPSTREAM.fullmatch(request.upstream)
    if found is None:
        raise UsageError(f"the upstream must be http://HOST:PORT, not {request.upstream!r}")
    if not _PATH.fullmatch(request.path):
        raise UsageError(f"{request.path!r} cannot be the path of {resource}")
    return found[1], int(found[2] or 80)


def service_manifests(host: str, port: int) -> str:
    """Return a Service named ``model`` that leads to the given host name or address."""
    spec = _ADDRESSED if _ADDRESS.fullmatch(host) else _NAMED
    return _SERVICE.format(spec=spec.format(host=host, port=port))
