"""A Caddyfile that streams."""

from __future__ import annotations

import math

from undam.lint.dialect import RenderRequest, require_literal_values


def render(request: RenderRequest) -> str:
    """One site, whose requests under the path go to the origin. Raises UsageError."""
    require_literal_values(request, "Caddy")
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    matcher = "" if path == "/" else f"{path.rstrip('*')}* "
    host, _, port = request.listen.rpartition(":")
    bind = f"    bind {host.strip('[]')}\n" if host else ""
    return f"""\
# Caddy before a server that streams. Check it with: caddy validate --config Caddyfile
{{
    admin off
    auto_https off
}}

http://:{port} {{
{bind}\
    # No "encode" here: before 2.9 it holds what it compresses.
    reverse_proxy {matcher}{request.upstream.rstrip("/")} {{
        # The response's headers leave at once, too.
        flush_interval -1
        transport http {{
            # How long a stream may be silent before it is cut; there is no limit by default.
            read_timeout {math.ceil(request.idle_s)}s
        }}
    }}
}}
"""
