"""Renderer of an Ingress for event streams and its Service."""

from __future__ import annotations

from undam.lint.dialect import RenderRequest
from undam.lint.kubernetes.render import INGRESS_RULES, backend_of, service_manifests

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
"""


def render(request: RenderRequest) -> str:
    """Return the manifests. The controller chooses the listen address, so ``listen`` is ignored.

    Raises:
        UsageError: the upstream is not a URL of a host and port, or the path is invalid.
    """
    host, port = backend_of(request, "an Ingress")
    return (_INGRESS + INGRESS_RULES).format(
        idle=max(1, round(request.idle_s)),
        path=request.path,
        port=port,
        service=service_manifests(host, port),
    )
