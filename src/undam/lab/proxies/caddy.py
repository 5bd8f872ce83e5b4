"""Caddy with reverse_proxy. Default: streams."""

from __future__ import annotations

from undam.lab.proxies.plan import LaunchPlan, Upstream, Workspace, inset, upstream_of
from undam.lab.proxies.process import Proxy, start


def start_caddy(upstream: str, *, extra: str = "", reverse_proxy: str = "") -> Proxy:
    """Start Caddy before ``upstream`` (``http://HOST:PORT``).

    ``extra`` are directives of the site (``encode gzip``), ``reverse_proxy`` subdirectives
    (``flush_interval -1``).
    """
    origin = upstream_of(upstream)

    def plan(place: Workspace) -> LaunchPlan:
        home = str(place.directory)
        return LaunchPlan(
            config=render(origin, place, extra=extra, reverse_proxy=reverse_proxy),
            config_name="Caddyfile",
            arguments=("run", "--config", "Caddyfile", "--adapter", "caddyfile"),
            # It saves its last configuration and its certificates in the user's home otherwise.
            environment={"HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home},
        )

    return start("caddy", plan, version_flag="version")


def render(origin: Upstream, place: Workspace, *, extra: str = "", reverse_proxy: str = "") -> str:
    """The text of the Caddyfile; what is not asked for stays at Caddy's own default."""
    return f"""\
{{
    admin off
    auto_https off
    default_bind 127.0.0.1
    grace_period 1s
}}

http://:{place.port} {{
{inset(extra, 4)}\
    reverse_proxy {origin.authority} {{
{inset(reverse_proxy, 8)}\
    }}
}}
"""
