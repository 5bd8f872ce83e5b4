"""Renderer of a Gateway with a streaming route and a Service."""

from __future__ import annotations

from undam.lint.dialect import RenderRequest
from undam.lint.kubernetes.render import backend_of, service_manifests

_ROUTE = """\
# Gateway API in front of a streaming server, with Envoy Gateway.
# Check with: kubectl apply --dry-run=server -f FILE
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: envoy-gateway
spec:
  controllerName: gateway.envoyproxy.io/gatewayclass-controller
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: token-streams
spec:
  gatewayClassName: envoy-gateway
  listeners:
    - name: http
      protocol: HTTP
      port: 80
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: token-streams
spec:
  parentRefs:
    - name: token-streams
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: {path}
      # Without a timeout, Envoy Gateway cuts off responses after 15 s. 0s also disables its limit
      # on silence.
      timeouts:
        request: 0s
      backendRefs:
        - name: model
          port: {port}
---
{service}"""


def render(request: RenderRequest) -> str:
    """Return the manifests. There is no idle timeout, so ``idle_s`` is ignored.

    Raises:
        UsageError: the upstream is not a URL of a host and port, or the path is invalid.
    """
    host, port = backend_of(request, "an HTTPRoute")
    return _ROUTE.format(path=request.path, port=port, service=service_manifests(host, port))
