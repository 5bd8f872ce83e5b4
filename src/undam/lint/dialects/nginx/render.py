"""Renderer of an nginx.conf for event streams."""

from __future__ import annotations

from undam.lint.dialect import RenderRequest, require_literal_values
from undam.versions import NGINX_UPSTREAM_HTTP11

_PROTOCOL = """\
            # Over HTTP/1.0, the default before 1.29.7, a crash of the origin looks like an end.
            proxy_http_version 1.1;
            proxy_set_header Connection "";

"""


def render(request: RenderRequest) -> str:
    """Return an nginx.conf that proxies the path to the origin.

    Raises:
        UsageError: a value has a special meaning in nginx.conf.
    """
    require_literal_values(request, "nginx")
    # By default, nginx does not send the host name in TLS (SNI), but most HTTPS upstreams require
    # it.
    server_name = (
        "            proxy_ssl_server_name on;\n" if request.upstream[:6] == "https:" else ""
    )
    has_default = request.target and NGINX_UPSTREAM_HTTP11.onwards.contains(request.target)
    protocol = "" if has_default else _PROTOCOL
    idle = f"{request.idle_s:.0f}s" if request.idle_s >= 1 else f"{request.idle_s * 1000:.0f}ms"
    return f"""\
# nginx in front of a streaming server. Check with: nginx -t -c FILE
events {{}}

http {{
    access_log off;

    server {{
        listen {request.listen};

        location {request.path} {{
            proxy_pass {request.upstream.rstrip("/")};
{server_name}\
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;

            # Send each event immediately; by default they are sent in blocks of 4 KB.
            proxy_buffering off;

{protocol}            # Cut a stream after this much silence; the default is 60 s.
            proxy_read_timeout {idle};

            # Ask an nginx closer to the client not to buffer either.
            proxy_pass_header X-Accel-Buffering;
        }}
    }}
}}
"""
