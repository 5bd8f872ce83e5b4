"""Apache httpd with mod_proxy_http. It streams by default."""

from __future__ import annotations

from undam.lab.proxies.plan import (
    LaunchPlan,
    UpstreamAddress,
    Workspace,
    indent_directives,
    parse_upstream,
)
from undam.lab.proxies.process import RunningProxy, start

# Modules that are needed to relay event streams. They are not compiled into Debian's httpd, so they
# are loaded.
_MODULES = (
    *("mpm_event", "authz_core", "proxy", "proxy_http", "headers", "setenvif"),
    *("filter", "deflate", "substitute"),
)


def start_apache(upstream: str, *, extra: str = "", proxy_pass: str = "") -> RunningProxy:
    """Start Apache httpd in front of ``upstream`` (``http://HOST:PORT``).

    ``extra`` contains directives for the server (``SetOutputFilter DEFLATE``), ``proxy_pass`` the
    parameters of its ProxyPass line (``flushpackets=on``).
    """
    origin = parse_upstream(upstream)

    def plan(workspace: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(origin, workspace, extra=extra, proxy_pass=proxy_pass),
            config_name="apache.conf",
            arguments=(
                *("-d", str(workspace.directory), "-f", "apache.conf"),
                *("-E", "error.log", "-DFOREGROUND"),
            ),
        )

    accounts = ("www-data", "nobody")
    return start("apache", plan, program="apache2", version_flag="-v", accounts=accounts)


def render(
    origin: UpstreamAddress, workspace: Workspace, *, extra: str = "", proxy_pass: str = ""
) -> str:
    """Return apache.conf; options that are not given keep Apache's defaults."""
    modules = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in _MODULES
    )
    account = (
        f"User {workspace.account.user}\nGroup {workspace.account.group}\n"
        if workspace.account
        else ""
    )
    return f"""\
{modules}{account}ServerName 127.0.0.1
Listen 127.0.0.1:{workspace.port}
DefaultRuntimeDir {workspace.directory}
PidFile apache.pid
ErrorLog error.log
ProxyPass / {f"http://{origin.authority}/ {proxy_pass}".strip()}
{indent_directives(extra, 0)}"""
