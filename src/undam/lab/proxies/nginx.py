"""nginx with one location. By default, it buffers 4 KB blocks and uses HTTP/1.0 upstream."""

from __future__ import annotations

from undam.lab.proxies.plan import (
    LaunchPlan,
    UpstreamAddress,
    Workspace,
    indent_directives,
    parse_upstream,
)
from undam.lab.proxies.process import RunningProxy, start


def start_nginx(upstream: str, *, location: str = "", http: str = "") -> RunningProxy:
    """Start nginx in front of ``upstream`` (``http://HOST:PORT``).

    ``location`` contains directives for its location (``proxy_buffering off;``), ``http`` for the
    http block.
    """
    origin = parse_upstream(upstream)

    def plan(workspace: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(origin, workspace, location=location, http=http),
            config_name="nginx.conf",
            # Without -e, nginx opens the system's log before it reads the configuration.
            arguments=("-p", f"{workspace.directory}/", "-c", "nginx.conf", "-e", "error.log"),
        )

    accounts = ("www-data", "nginx", "nobody")
    return start("nginx", plan, version_flag="-v", accounts=accounts)


def render(
    origin: UpstreamAddress, workspace: Workspace, *, location: str = "", http: str = ""
) -> str:
    """Return nginx.conf; options that are not given keep nginx's defaults."""
    user = (
        f"user {workspace.account.user} {workspace.account.group};\n" if workspace.account else ""
    )
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
{indent_directives(http, 4)}\
    server {{
        listen 127.0.0.1:{workspace.port};
        location / {{
            proxy_pass http://{origin.authority};
{indent_directives(location, 12)}\
        }}
    }}
}}
"""
