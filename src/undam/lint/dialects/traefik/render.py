"""A Traefik configuration that streams, static and dynamic in one file."""

from __future__ import annotations

import json

from undam.lint.dialect import RenderRequest


def render(request: RenderRequest) -> str:
    """One router, whose requests under the path go to the origin; others get 404.

    Traefik has no limit on silence, so ``idle_s`` needs no line.
    """
    return f"""\
# Traefik before a server that streams. Save it as traefik.yaml and start it in the same folder:
#   traefik --configFile=traefik.yaml
# Its static part ends at "providers", which names this file again for the dynamic part.
global:
  checkNewVersion: false
  sendAnonymousUsage: false
entryPoints:
  edge:
    address: {_quoted(request.listen)}
    transport:
      respondingTimeouts:
        # It would end each response at this age. Silence is not limited.
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
      # No "buffering" here: it would hold each response until its end.
  services:
    origin:
      loadBalancer:
        servers:
          - url: {_quoted(request.upstream)}
"""


def _quoted(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)
