"""Renderer of an httpd.conf for event streams."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from undam.lint.dialect import RenderRequest, require_literal_values

_MODULES = ("mpm_event", "authz_core", "proxy", "proxy_http")


def render(request: RenderRequest) -> str:
    """Return an httpd.conf that proxies the path to the origin.

    Raises:
        UsageError: a value has a special meaning in httpd.conf.
    """
    require_literal_values(request, "httpd")
    modules = list(_MODULES)
    path = request.path if request.path.startswith("/") else f"/{request.path}"
    upstream = request.upstream.rstrip("/")
    tls = ""
    if urlsplit(upstream).scheme == "https":
        modules.append("ssl")
        tls = "SSLProxyEngine on\n"
    loads = "".join(
        f"    LoadModule {name}_module ${{MODULES}}/mod_{name}.so\n" for name in modules
    )
    host, _, port = request.listen.rpartition(":")
    return f"""\
# Apache httpd in front of a streaming server. Check with: apache2 -t -f FILE
Define MODULES /usr/lib/apache2/modules
<IfModule !proxy_http_module>
{loads}</IfModule>
# The account that it switches to when root starts it.
<IfModule unixd_module>
    User www-data
    Group www-data
</IfModule>

ServerName {host or "localhost"}
Listen {request.listen}
DefaultRuntimeDir /tmp
PidFile /tmp/undam-apache-{port}.pid
ErrorLog /dev/stderr
{tls}
# mod_proxy_http passes each event on at once; flushpackets is only for FastCGI and AJP.
# timeout cuts a stream after this much silence.
ProxyPass "{path}" "{upstream}{path}" timeout={math.ceil(request.idle_s)}
"""
