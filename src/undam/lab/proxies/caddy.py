"""Caddy with reverse_proxy. It streams by default."""

from __future__ import annotations

from undam.lab.proxies.plan import (
    LaunchPlan,
    UpstreamAddress,
    Workspace,
    indent_directives,
    parse_upstream,
)
from undam.lab.proxies.process import RunningProxy, start


def start_caddy(upstream: str, *, extra: str = "", reverse_proxy: str = "") -> RunningProxy:
    """Start Caddy in front of ``upstream`` (``http://HOST:PORT``).

    ``extra`` contains directives of the site (``encode gzip``), ``reverse_proxy`` subdirectives
    (``flush_interval -1``).
    """
    origin = parse_upstream(upstream)

    def plan(workspace: Workspace) -> LaunchPlan:
        home = str(workspace.directory)
        return LaunchPlan(
            config=render(origin, workspace, extra=extra, reverse_proxy=reverse_proxy),
            config_name="Caddyfile",
            arguments=("run", "--config", "Caddyfile", "--adapter", "caddyfile"),
            # By default, Caddy stores its configuration and certificates in the user's home
            # directory.
            environment={"HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home},
        )

    return start("caddy", plan, version_flag="version")


def render(
    origin: UpstreamAddress, workspace: Workspace, *, extra: str = "", reverse_proxy: str = ""
) -> str:
    """Return the Caddyfile; options that are not given keep Caddy's defaults."""
    return f"""\
{{
    admin off
    auto_https off
    default_bind 127.0.0.1
    grace_period 1s
}}

http://:{workspace.port} {{
{indent_directives(extra, 4)}\
    reverse_proxy {origin.authority} {{
{indent_directives(reverse_proxy, 8)}\
    }}
}}
"""
