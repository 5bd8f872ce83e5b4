"""Renderer of a compose file with Traefik in front of a streaming server."""

from __future__ import annotations

import json

from undam.lint.dialect import RenderRequest, require_literal_values


def render(request: RenderRequest) -> str:
    """Return a compose file that serves the path through Traefik, which has no idle timeout.

    Traefik reaches the upstream through its file provider, so ``host.docker.internal`` is the name
    of this machine in the URL of the upstream.
    """
    require_literal_values(request, "a compose file")
    rule = json.dumps(f"PathPrefix(`{request.path}`)")
    return f"""\
# Traefik in front of a streaming server: docker compose up
services:
  traefik:
    image: traefik:v3.7
    command:
      - --providers.file.filename=/etc/traefik/dynamic.yaml
      - --entrypoints.edge.address=:8080
      # A limit would cut each response after that time. Silence is not limited.
      - --entrypoints.edge.transport.respondingTimeouts.writeTimeout=0s
    ports:
      - "{request.listen}:8080"
    extra_hosts:
      - host.docker.internal:host-gateway
    stop_grace_period: 2m
    configs:
      - source: dynamic
        target: /etc/traefik/dynamic.yaml
configs:
  dynamic:
    content: |
      http:
        routers:
          streaming:
            rule: {rule}
            entryPoints: [edge]
            service: origin
        services:
          origin:
            loadBalancer:
              servers:
                - url: {json.dumps(request.upstream)}
"""
