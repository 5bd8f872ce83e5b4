"""Renderer of a Traefik configuration for event streams, static and dynamic in one file."""

from __future__ import annotations

import json

from undam.lint.dialect import RenderRequest


def render(request: RenderRequest) -> str:
    """Return a configuration with one router. It proxies the path and returns 404 for others.

    Traefik has no idle timeout, so ``idle_s`` has no effect.
    """
    return f"""\
# Traefik in front of a streaming server. Save as traefik.yaml and start in the same folder:
#   traefik --configFile=traefik.yaml
# "providers" names this file again, because the dynamic part below is in the same file.
global:
  checkNewVersion: false
  sendAnonymousUsage: false
entryPoints:
  edge:
    address: {_quoted(request.listen)}
    transport:
      respondingTimeouts:
        # A limit would cut each response after that time. Silence is not limited.
        writeTimeout: 0s
providers:
  file:
    filename: traefik.yaml

http:
  routers:
    streaming:
      rule: {_quoted(f"PathPrefix(`{request.path}`)")}
      entryPoints: [edge]
      service: origin
      # Do not add "buffering": it holds each response until its end.
  services:
    origin:
      loadBalancer:
        servers:
          - url: {_quoted(request.upstream)}
"""


def _quoted(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)
