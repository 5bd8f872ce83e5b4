"""nginx with one location that passes everything on. Default: 4 KB blocks, HTTP/1.0 upstream."""

from __future__ import annotations

from undam.lab.proxies.plan import LaunchPlan, Upstream, Workspace, inset, upstream_of
from undam.lab.proxies.process import Proxy, start


def start_nginx(upstream: str, *, location: str = "", http: str = "") -> Proxy:
    """Start nginx before ``upstream`` (``http://HOST:PORT``).

    ``location`` are directives for its one location (``proxy_buffering off;``), ``http`` for
    the http block.
    """
    origin = upstream_of(upstream)

    def plan(place: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(origin, place, location=location, http=http),
            config_name="nginx.conf",
            # Without -e it first tries the system's log.
            arguments=("-p", f"{place.directory}/", "-c", "nginx.conf", "-e", "error.log"),
        )

    accounts = ("www-data", "nginx", "nobody")
    return start("nginx", plan, version_flag="-v", accounts=accounts)


def render(origin: Upstream, place: Workspace, *, location: str = "", http: str = "") -> str:
    """The text of nginx.conf; what is not asked for stays at nginx's own default."""
    user = f"user {place.account.user} {place.account.group};\n" if place.account else ""
    return f"""\
{user}daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{inset(http, 4)}\
    server {{
        listen 127.0.0.1:{place.port};
        location / {{
            proxy_pass http://{origin.authority};
{inset(location, 12)}\
        }}
    }}
}}
"""
