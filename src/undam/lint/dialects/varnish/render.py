"""A VCL that streams."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from undam.lint.dialect import RenderRequest, require_literal_values


def render(request: RenderRequest) -> str:
    """One backend, whose responses under the path are handed on as they come. Raises UsageError."""
    require_literal_values(request, "Varnish")
    origin = urlsplit(request.upstream)
    idle = math.ceil(request.idle_s)
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    pattern = "".join(f"[{one}]" if one in ".*+?()|$" else one for one in path)
    return f"""\
# Varnish before a server that streams. Check it with: varnishd -C -f default.vcl
# Start it with: varnishd -a {request.listen} -f default.vcl
vcl 4.1;

backend origin {{
    .host = "{origin.hostname}";
    .port = "{origin.port or 80}";
    # How long the origin may take to its first byte, and be silent after that.
    .first_byte_timeout = {idle}s;
    .between_bytes_timeout = {idle}s;
}}

sub vcl_recv {{
    # Answers of a model are nobody else's: nothing is looked up in the cache.
    if (req.url ~ "^{pattern}") {{
        return (pass);
    }}
}}

sub vcl_backend_response {{
    # Each of these would hold a stream, whatever else is set above.
    if (beresp.http.Content-Type ~ "text/event-stream") {{
        set beresp.do_stream = true;
        set beresp.do_esi = false;
        set beresp.do_gzip = false;
    }}
}}
"""
