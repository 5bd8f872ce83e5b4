"""Renderer of a Caddyfile for event streams."""

from __future__ import annotations

import math

from undam.lint.dialect import RenderRequest, require_literal_values


def render(request: RenderRequest) -> str:
    """Return a Caddyfile with one site that proxies the path to the origin.

    Raises:
        UsageError: a value has a special meaning in a Caddyfile.
    """
    require_literal_values(request, "Caddy")
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    matcher = "" if path == "/" else f"{path.rstrip('*')}* "
    host, _, port = request.listen.rpartition(":")
    bind = f"    bind {host.strip('[]')}\n" if host else ""
    return f"""\
# Caddy in front of a streaming server. Check with: caddy validate --config Caddyfile
{{
    admin off
    auto_https off
}}

http://:{port} {{
{bind}\
    # Do not add "encode": before 2.9 it holds what it compresses.
    reverse_proxy {matcher}{request.upstream.rstrip("/")} {{
        # Send the response headers at once as well.
        flush_interval -1
        transport http {{
            # Cut a stream after this much silence; by default there is no limit.
            read_timeout {math.ceil(request.idle_s)}s
        }}
    }}
}}
"""
