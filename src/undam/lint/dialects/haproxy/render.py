"""A haproxy.cfg that streams."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from undam.lint.dialect import RenderRequest, require_literal_values


def render(request: RenderRequest) -> str:
    """One frontend, whose requests under the path go to the origin. Raises UsageError."""
    require_literal_values(request, "HAProxy")
    origin = urlsplit(request.upstream)
    authority = origin.netloc if origin.port is not None else f"{origin.netloc}:80"
    idle = math.ceil(request.idle_s)
    if request.path in {"", "/"}:
        choice = "    default_backend streaming"
    else:
        choice = (
            f"    http-request return status 404 unless {{ path_beg {request.path} }}\n"
            f"    use_backend streaming if {{ path_beg {request.path} }}"
        )
    return f"""\
# haproxy before a server that streams. Check it with: haproxy -c -f haproxy.cfg
global
    maxconn 2000

defaults
    mode http
    timeout connect 5s
    # For clients that send their request slowly; it does not end a silent stream.
    timeout client 60s
    # How long a stream may be silent before it is cut.
    timeout server {idle}s

frontend edge
    bind {request.listen}
{choice}

backend streaming
    # Without it the kernel keeps each event for about 200 ms.
    option http-no-delay
    # No "compression" here: it would keep each event until the next one comes.
    server origin {authority}
"""
