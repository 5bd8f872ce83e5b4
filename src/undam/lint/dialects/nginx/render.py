"""A configuration of nginx that streams, complete and short."""

from __future__ import annotations

import re

from undam.errors import UsageError
from undam.lint.dialect import RenderRequest

_PLAIN = re.compile(r"[^\s\"'\\;{}$#]+")


def render_nginx(request: RenderRequest) -> str:
    """A whole nginx.conf. Raises UsageError for a word that cannot stand in one."""
    for word in (request.upstream, request.path, request.listen):
        if not _PLAIN.fullmatch(word):
            raise UsageError(f"{word!r} cannot stand in a configuration of nginx")
    # Without it nginx names no host in its TLS greeting, and most HTTPS upstreams refuse that.
    greeting = "            proxy_ssl_server_name on;\n" if request.upstream[:6] == "https:" else ""
    idle = f"{request.idle_s:.0f}s" if request.idle_s >= 1 else f"{request.idle_s * 1000:.0f}ms"
    return f"""\
# nginx before a server that streams tokens. Try it: nginx -t -c FILE
events {{}}

http {{
    access_log off;

    server {{
        listen {request.listen};

        location {request.path} {{
            proxy_pass {request.upstream.rstrip("/")};
{greeting}\
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;

            # Each event leaves at once; with the default they leave in blocks of 4 KB.
            proxy_buffering off;

            # Over HTTP/1.0, the default before 1.29.7, a crash of the origin looks like an end.
            proxy_http_version 1.1;
            proxy_set_header Connection "";

            # A silence this long ends the stream; the default is 60 s.
            proxy_read_timeout {idle};

            # Another nginx further out learns that it must not buffer either.
            proxy_pass_header X-Accel-Buffering;
        }}
    }}
}}
"""
