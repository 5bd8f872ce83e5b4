"""Renderer of a haproxy.cfg for event streams."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from undam.lint.dialect import RenderRequest, require_literal_values
from undam.versions import HAPROXY_SSE_UNDELAYED

_NO_DELAY = """\
    # Without this the kernel holds each event for about 200 ms.
    option http-no-delay
"""


def render(request: RenderRequest) -> str:
    """Return a haproxy.cfg with one frontend that proxies the path to the origin.

    Raises:
        UsageError: a value has a special meaning in haproxy.cfg.
    """
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
    is_undelayed = request.target and HAPROXY_SSE_UNDELAYED.onwards.contains(request.target)
    no_delay = "" if is_undelayed else _NO_DELAY
    return f"""\
# haproxy in front of a streaming server. Check with: haproxy -c -f haproxy.cfg
global
    maxconn 2000

defaults
    mode http
    timeout connect 5s
    # For clients that send their request slowly; it does not cut a silent stream.
    timeout client 60s
    # Cut a stream after this much silence.
    timeout server {idle}s

frontend edge
    bind {request.listen}
{choice}

backend streaming
{no_delay}    # Do not add "compression": it holds each event until the next one.
    server origin {authority}
"""
