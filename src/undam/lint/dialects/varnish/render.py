"""Renderer of VCL for event streams."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from undam.lint.dialect import RenderRequest, require_literal_values


def render(request: RenderRequest) -> str:
    """Return VCL with one backend that streams the responses for the path.

    Raises:
        UsageError: a value has a special meaning in VCL.
    """
    require_literal_values(request, "Varnish")
    origin = urlsplit(request.upstream)
    idle = math.ceil(request.idle_s)
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    pattern = "".join(f"[{one}]" if one in ".*+?()|$" else one for one in path)
    return f"""\
# Varnish in front of a streaming server. Check with: varnishd -C -f default.vcl
# Start with: varnishd -a {request.listen} -f default.vcl
vcl 4.1;

backend origin {{
    .host = "{origin.hostname}";
    .port = "{origin.port or 80}";
    # Limits on the time to the first byte, and on any silence after it.
    .first_byte_timeout = {idle}s;
    .between_bytes_timeout = {idle}s;
}}

sub vcl_recv {{
    # Answers of a model must not be shared between users, so bypass the cache.
    if (req.url ~ "^{pattern}") {{
        return (pass);
    }}
}}

sub vcl_backend_response {{
    # Each of these would hold a stream if it had its other value.
    if (beresp.http.Content-Type ~ "text/event-stream") {{
        set beresp.do_stream = true;
        set beresp.do_esi = false;
        set beresp.do_gzip = false;
    }}
}}
"""
