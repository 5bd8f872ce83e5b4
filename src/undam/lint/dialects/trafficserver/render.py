"""Rendering of a records.config that streams."""

from __future__ import annotations

import math

from undam.lint.dialect import RenderRequest


def render(request: RenderRequest) -> str:
    """Return a records.config. A comment contains the line for remap.config."""
    idle = math.ceil(request.idle_s)
    host, _, port = request.listen.rpartition(":")
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    upstream = request.upstream.rstrip("/")
    return f"""\
# Traffic Server in front of a streaming server: records.config (for 8 and 9; since 10 use
# records.yaml, with the same names under "records:"). remap.config in the same folder needs:
#   map {path} {upstream}{path}
# If plugin.config loads compress.so, set "flush true" in compress.config, or it holds answers.
CONFIG proxy.config.http.server_ports STRING {port}:ip-in={host}
# Cut a stream after this much silence, towards the client and the origin.
CONFIG proxy.config.http.transaction_no_activity_timeout_in INT {idle}
CONFIG proxy.config.http.transaction_no_activity_timeout_out INT {idle}
# By default this cuts each response after 900 s.
CONFIG proxy.config.http.transaction_active_timeout_in INT 0
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.http.cache.http INT 0
"""
