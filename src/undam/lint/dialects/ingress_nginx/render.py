"""Rendering of an Ingress that streams, with its Service."""

from __future__ import annotations

import re

from undam.errors import UsageError
from undam.lint.dialect import RenderRequest

_UPSTREAM = re.compile(r"http://([A-Za-z0-9.-]{1,253})(?::(\d{1,5}))?/?")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")

_INGRESS = """\
# ingress-nginx in front of a streaming server.
# Check with: kubectl apply --dry-run=server -f FILE
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: token-streams
  annotations:
    # The controller's default; repeated here in case its ConfigMap changes it.
    nginx.ingress.kubernetes.io/proxy-buffering: "off"
    # Cut a stream after this many seconds of silence; the default is 60.
    nginx.ingress.kubernetes.io/proxy-read-timeout: "{idle}"
    nginx.ingress.kubernetes.io/proxy-send-timeout: "{idle}"
spec:
  ingressClassName: nginx
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
apiVersion: v1
kind: Service
metadata:
  name: model
spec:
{service}"""

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


def render(request: RenderRequest) -> str:
    """Return the manifests. The controller decides where to listen, so ``listen`` has no effect.

    Raises:
        UsageError: the upstream is not a URL of a host and port, or the path is invalid.
    """
    found = _UPSTREAM.fullmatch(request.upstream)
    if found is None:
        raise UsageError(f"the upstream must be http://HOST:PORT, not {request.upstream!r}")
    if not _PATH.fullmatch(request.path):
        raise UsageError(f"{request.path!r} cannot be the path of an Ingress")
    host, port = found[1], int(found[2] or 80)
    service = _ADDRESSED if _ADDRESS.fullmatch(host) else _NAMED
    return _INGRESS.format(
        idle=max(1, round(request.idle_s)),
        path=request.path,
        port=port,
        service=service.format(host=host, port=port),
    )
