"""Renderer of a lighttpd.conf for event streams."""

from __future__ import annotations

import math
import re
from urllib.parse import urlsplit

from undam.lint.dialect import RenderRequest, require_literal_values


def render(request: RenderRequest) -> str:
    """Return a lighttpd.conf with one listener that proxies the path to the origin.

    Raises:
        UsageError: a value has a special meaning in lighttpd.conf.
    """
    require_literal_values(request, "lighttpd")
    origin = urlsplit(request.upstream)
    host, _, port = request.listen.rpartition(":")
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    return f"""\
# lighttpd in front of a streaming server. Check with: lighttpd -tt -f lighttpd.conf
server.modules = ( "mod_proxy" )
server.document-root = "/tmp"
server.bind = "{host}"
server.port = {port}

$HTTP["url"] =~ "^{re.escape(path)}" {{
    # Without this lighttpd holds the whole response until its end.
    server.stream-response-body = 1
    # Cut a stream after this much silence.
    server.max-write-idle = {math.ceil(request.idle_s)}
    proxy.server = ( "" => (( "host" => "{origin.hostname}", "port" => {origin.port or 80} )) )
}}
"""
