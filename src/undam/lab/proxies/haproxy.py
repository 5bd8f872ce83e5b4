"""haproxy with one listener. Default: the kernel's MSG_MORE holds each write for about 200 ms."""

from __future__ import annotations

from undam.lab.proxies.plan import LaunchPlan, Upstream, Workspace, inset, upstream_of
from undam.lab.proxies.process import Proxy, start


def start_haproxy(
    upstream: str, *, options: str = "", timeout_server: str = "50s", mode: str = "http"
) -> Proxy:
    """Start haproxy before ``upstream`` (``http://HOST:PORT``).

    ``options`` are lines for its one ``listen`` section (``option http-no-delay``);
    ``timeout_server`` is 50 s in haproxy's sample configuration; ``mode`` is ``http`` or ``tcp``.
    """
    origin = upstream_of(upstream)

    def plan(place: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(origin, place, options=options, timeout_server=timeout_server, mode=mode),
            config_name="haproxy.cfg",
            arguments=("-db", "-f", "haproxy.cfg"),
        )

    return start("haproxy", plan, version_flag="-v", accounts=("haproxy", "nobody"))


def render(
    origin: Upstream,
    place: Workspace,
    *,
    options: str = "",
    timeout_server: str = "50s",
    mode: str = "http",
) -> str:
    """The text of haproxy.cfg; haproxy insists on the three timeouts."""
    account = (
        f"    user {place.account.user}\n    group {place.account.group}\n" if place.account else ""
    )
    return f"""\
global
    maxconn 2000
{account}\

defaults
    mode {mode}
    timeout connect 5s
    timeout client 50s
    timeout server {timeout_server}

listen edge
    bind 127.0.0.1:{place.port}
{inset(options, 4)}\
    server origin {origin.authority}
"""
