"""Renderer of an Ingress for event streams with the AWS Load Balancer Controller."""

from __future__ import annotations

from undam.lint.dialect import RenderRequest
from undam.lint.kubernetes.render import INGRESS_RULES, backend_of, service_manifests

# The longest idle timeout that an AWS load balancer accepts, in seconds.
_MAX_IDLE_S = 4000
_INGRESS = """\
# AWS Application Load Balancer in front of a streaming server.
# Check with: kubectl apply --dry-run=server -f FILE
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: token-streams
  annotations:
    # Cut a stream after this many seconds of silence; the default is 60.
    alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds={idle}
    alb.ingress.kubernetes.io/target-type: ip
spec:
  ingressClassName: alb
"""


def render(request: RenderRequest) -> str:
    """Return the manifests.

    Raises:
        UsageError: the upstream is not a URL of a host and port, or the path is invalid.
    """
    host, port = backend_of(request, "an Ingress")
    idle = min(_MAX_IDLE_S, max(1, round(request.idle_s)))
    return (_INGRESS + INGRESS_RULES).format(
        idle=idle, path=request.path, port=port, service=service_manifests(host, port)
    )
