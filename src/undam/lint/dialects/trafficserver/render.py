"""A records.config of Traffic Server that streams, with the lines of the files beside it."""

from __future__ import annotations

import math

from undam.lint.dialect import RenderRequest


def render(request: RenderRequest) -> str:
    """The records; remap.config is one line, which stands in a comment."""
    idle = math.ceil(request.idle_s)
    host, _, port = request.listen.rpartition(":")
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    upstream = request.upstream.rstrip("/")
    return f"""\
# Traffic Server before a server that streams: records.config (8 and 9; from 10 on records.yaml,
# where the same names stand under "records:"). remap.config beside it needs this line:
#   map {path} {upstream}{path}
# In plugin.config, compress.so needs "flush true" in its compress.config, or it holds each answer.
CONFIG proxy.config.http.server_ports STRING {port}:ip-in={host}
# How long a stream may be silent before it is cut, towards the client and the origin.
CONFIG proxy.config.http.transaction_no_activity_timeout_in INT {idle}
CONFIG proxy.config.http.transaction_no_activity_timeout_out INT {idle}
# It would end each answer at this age, 900 s by default.
CONFIG proxy.config.http.transaction_active_timeout_in INT 0
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.http.cache.http INT 0
"""
