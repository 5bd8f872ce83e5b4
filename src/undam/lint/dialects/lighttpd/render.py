"""A lighttpd.conf that streams."""

from __future__ import annotations

import math
import re
from urllib.parse import urlsplit

from undam.lint.dialect import RenderRequest, require_literal_values


def render(request: RenderRequest) -> str:
    """One listener, whose requests under the path go to the origin. Raises UsageError."""
    require_literal_values(request, "lighttpd")
    origin = urlsplit(request.upstream)
    host, _, port = request.listen.rpartition(":")
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    return f"""\
# lighttpd before a server that streams. Check it with: lighttpd -tt -f lighttpd.conf
server.modules = ( "mod_proxy" )
server.document-root = "/tmp"
server.bind = "{host}"
server.port = {port}

$HTTP["url"] =~ "^{re.escape(path)}" {{
    # Without it lighttpd keeps the whole response until its end.
    server.stream-response-body = 1
    # How long a stream may be silent before it is cut.
    server.max-write-idle = {math.ceil(request.idle_s)}
    proxy.server = ( "" => (( "host" => "{origin.hostname}", "port" => {origin.port or 80} )) )
}}
"""
