"""Renderer of records for event streams: records.config, or records.yaml since version 10."""

from __future__ import annotations

import math

from undam.lint.dialect import RenderRequest
from undam.versions import TRAFFICSERVER_RECORDS_YAML


def render(request: RenderRequest) -> str:
    """Return the records file. A comment in it contains the line for remap.config."""
    idle = math.ceil(request.idle_s)
    host, _, port = request.listen.rpartition(":")
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    upstream = request.upstream.rstrip("/")
    if request.target and TRAFFICSERVER_RECORDS_YAML.onwards.contains(request.target):
        return f"""\
# Traffic Server in front of a streaming server: records.yaml. remap.config in the same folder
# needs:
#   map {path} {upstream}{path}
# If plugin.config loads compress.so, set "flush true" in compress.config, or it holds answers.
records:
  http:
    server_ports: {port}:ip-in={host}
    # Cut a stream after this much silence, towards the client and the origin.
    transaction_no_activity_timeout_in: {idle}
    transaction_no_activity_timeout_out: {idle}
    # By default this cuts off each response after 900 s.
    transaction_active_timeout_in: 0
    cache:
      http: 0
  url_remap:
    remap_required: 1
"""
    return f"""\
# Traffic Server in front of a streaming server: records.config (for 8 and 9; since 10 use
# records.yaml, with the same names under "records:"). remap.config in the same folder needs:
#   map {path} {upstream}{path}
# If plugin.config loads compress.so, set "flush true" in compress.config, or it holds answers.
CONFIG proxy.config.http.server_ports STRING {port}:ip-in={host}
# Cut a stream after this much silence, towards the client and the origin.
CONFIG proxy.config.http.transaction_no_activity_timeout_in INT {idle}
CONFIG proxy.config.http.transaction_no_activity_timeout_out INT {idle}
# By default this cuts off each response after 900 s.
CONFIG proxy.config.http.transaction_active_timeout_in INT 0
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.http.cache.http INT 0
"""
