"""Renderer of an Envoy bootstrap for event streams."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from undam.lint.dialect import RenderRequest

_HTTP = "type.googleapis.com/envoy.extensions.filters"


def render(request: RenderRequest) -> str:
    """Return a bootstrap with one listener. It proxies the path and returns 404 for other paths."""
    origin = urlsplit(request.upstream)
    host, _, port = request.listen.rpartition(":")
    return f"""\
# Envoy in front of a streaming server. Check with: envoy --mode validate -c envoy.yaml
static_resources:
  listeners:
    - name: edge
      address:
        socket_address: {{ address: {_quoted(host.strip("[]"))}, port_value: {port} }}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": {_HTTP}.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: edge
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes:
                        - match: {{ prefix: {_quoted(request.path)} }}
                          route:
                            cluster: origin
                            # By default Envoy cuts off each response after 15 s.
                            timeout: 0s
                            # Cut a stream after this much silence.
                            idle_timeout: {request.idle_s:.3f}s
                # Do not add a filter that reads the body, or zstd: they hold the response.
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": {_HTTP}.http.router.v3.Router
  clusters:
    - name: origin
      type: STRICT_DNS
      connect_timeout: 5s
      load_assignment:
        cluster_name: origin
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    socket_address:
                      address: {_quoted(origin.hostname)}
                      port_value: {origin.port or 80}
"""


def _quoted(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)
