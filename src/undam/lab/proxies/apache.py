"""Apache httpd with mod_proxy_http. Default: streams."""

from __future__ import annotations

from undam.lab.proxies.plan import LaunchPlan, Upstream, Workspace, inset, upstream_of
from undam.lab.proxies.process import Proxy, start

# Debian has these outside the program; they are what a proxy of event streams may be told to use.
_MODULES = (
    *("mpm_event", "authz_core", "proxy", "proxy_http", "headers", "setenvif"),
    *("filter", "deflate", "substitute"),
)


def start_apache(upstream: str, *, extra: str = "", proxy_pass: str = "") -> Proxy:
    """Start Apache httpd before ``upstream`` (``http://HOST:PORT``).

    ``extra`` are directives for the server (``SetOutputFilter DEFLATE``), ``proxy_pass`` the
    parameters of its ProxyPass line (``flushpackets=on``).
    """
    origin = upstream_of(upstream)

    def plan(place: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(origin, place, extra=extra, proxy_pass=proxy_pass),
            config_name="apache.conf",
            arguments=(
                *("-d", str(place.directory), "-f", "apache.conf"),
                *("-E", "error.log", "-DFOREGROUND"),
            ),
        )

    accounts = ("www-data", "nobody")
    return start("apache", plan, program="apache2", version_flag="-v", accounts=accounts)


def render(origin: Upstream, place: Workspace, *, extra: str = "", proxy_pass: str = "") -> str:
    """The text of apache.conf; what is not asked for stays at Apache's own default."""
    modules = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in _MODULES
    )
    account = f"User {place.account.user}\nGroup {place.account.group}\n" if place.account else ""
    return f"""\
{modules}{account}ServerName 127.0.0.1
Listen 127.0.0.1:{place.port}
DefaultRuntimeDir {place.directory}
PidFile apache.pid
ErrorLog error.log
ProxyPass / {f"http://{origin.authority}/ {proxy_pass}".strip()}
{inset(extra, 0)}"""
