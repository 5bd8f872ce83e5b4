"""An httpd.conf that streams."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from undam.lint.dialect import RenderRequest, require_literal_values

_MODULES = ("mpm_event", "authz_core", "proxy", "proxy_http")


def render(request: RenderRequest) -> str:
    """One server, whose requests under the path go to the origin. Raises UsageError."""
    require_literal_values(request, "httpd")
    modules = list(_MODULES)
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    upstream = request.upstream.rstrip("/")
    greeting = ""
    if urlsplit(upstream).scheme == "https":
        modules.append("ssl")
        greeting = "SSLProxyEngine on\n"
    loads = "".join(
        f"    LoadModule {name}_module ${{MODULES}}/mod_{name}.so\n" for name in modules
    )
    host, _, port = request.listen.rpartition(":")
    return f"""\
# Apache httpd before a server that streams. Check it with: apache2 -t -f FILE
Define MODULES /usr/lib/apache2/modules
<IfModule !proxy_http_module>
{loads}</IfModule>
# Whom it becomes when root starts it.
<IfModule unixd_module>
    User www-data
    Group www-data
</IfModule>

ServerName {host or "localhost"}
Listen {request.listen}
DefaultRuntimeDir /tmp
PidFile /tmp/undam-apache-{port}.pid
ErrorLog /dev/stderr
{greeting}
# mod_proxy_http passes each event on at once; flushpackets is for FastCGI and AJP alone.
# How long a stream may be silent before it is cut.
ProxyPass "{path}" "{upstream}{path}" timeout={math.ceil(request.idle_s)}
"""
