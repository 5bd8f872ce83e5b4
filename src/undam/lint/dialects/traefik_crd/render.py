"""Renderer of an IngressRoute for event streams and its Service."""

from __future__ import annotations

from undam.lint.dialect import RenderRequest
from undam.lint.kubernetes.render import backend_of, service_manifests

_ROUTE = """\
# Traefik in Kubernetes in front of a streaming server.
# Check with: kubectl apply --dry-run=server -f FILE
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata:
  name: token-streams
spec:
  entryPoints: [web]
  routes:
    # Do not add a middleware with "buffering": it holds each response until its end.
    - match: PathPrefix(`{path}`)
      kind: Rule
      services:
        - name: model
          port: {port}
---
{service}"""


def render(request: RenderRequest) -> str:
    """Return the manifests. Traefik has no idle timeout, so ``idle_s`` is ignored.

    Raises:
        UsageError: the upstream is not a URL of a host and port, or the path is invalid.
    """
    host, port = backend_of(request, "an IngressRoute")
    return _ROUTE.format(path=request.path, port=port, service=service_manifests(host, port))
