"""Renderer of a VirtualService for event streams and its Service."""

from __future__ import annotations

from undam.lint.dialect import RenderRequest
from undam.lint.kubernetes.render import backend_of, service_manifests

_ROUTE = """\
# Istio in front of a streaming server.
# Check with: istioctl analyze FILE
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: token-streams
spec:
  hosts: [model]
  http:
    - match:
        - uri:
            prefix: {path}
      # Do not limit the whole response. This is the default, stated here explicitly.
      timeout: 0s
      route:
        - destination:
            host: model
            port:
              number: {port}
---
{service}"""


def render(request: RenderRequest) -> str:
    """Return the manifests. Istio has no idle timeout, so ``idle_s`` is ignored.

    Raises:
        UsageError: the upstream is not a URL of a host and port, or the path is invalid.
    """
    host, port = backend_of(request, "a VirtualService")
    return _ROUTE.format(path=request.path, port=port, service=service_manifests(host, port))
