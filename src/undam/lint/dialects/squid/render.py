"""Renderer of a squid.conf for event streams."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from undam.lint.dialect import RenderRequest, require_literal_values


def render(request: RenderRequest) -> str:
    """Return a squid.conf for an accelerator (reverse proxy) without a cache.

    Raises:
        UsageError: a value has a special meaning in squid.conf.
    """
    require_literal_values(request, "Squid")
    origin = urlsplit(request.upstream)
    host = request.listen.rpartition(":")[0]
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    pattern = "".join(f"\\{one}" if one in ".*+?()[]{}|^$" else one for one in path)
    peer = f"{origin.hostname} parent {origin.port or 80} 0 no-query no-digest"
    return f"""\
# Squid in front of a streaming server. Check with: squid -k parse -f squid.conf
http_port {request.listen} accel defaultsite={host} no-vhost
cache_peer {peer} originserver name=origin

acl streaming urlpath_regex ^{pattern}
http_access allow streaming
http_access deny all
never_direct allow all

# Answers of a model must not be shared between users.
cache deny all
# Cut a stream after this much silence.
read_timeout {math.ceil(request.idle_s)} seconds

pid_filename none
access_log none
cache_log stdio:/dev/null
coredump_dir /tmp
visible_hostname undam
pinger_enable off
shutdown_lifetime 1 second
"""
