"""haproxy with one listener. By default, MSG_MORE delays each write by about 200 ms."""

from __future__ import annotations

from undam.lab.proxies.plan import (
    LaunchPlan,
    UpstreamAddress,
    Workspace,
    indent_directives,
    parse_upstream,
)
from undam.lab.proxies.process import RunningProxy, start


def start_haproxy(
    upstream: str, *, options: str = "", timeout_server: str = "50s", mode: str = "http"
) -> RunningProxy:
    """Start haproxy in front of ``upstream`` (``http://HOST:PORT``).

    ``options`` contains lines for its ``listen`` section (``option http-no-delay``);
    ``timeout_server`` is 50 s in haproxy's sample configuration; ``mode`` is ``http`` or ``tcp``.
    """
    origin = parse_upstream(upstream)

    def plan(workspace: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(
                origin, workspace, options=options, timeout_server=timeout_server, mode=mode
            ),
            config_name="haproxy.cfg",
            arguments=("-db", "-f", "haproxy.cfg"),
        )

    return start("haproxy", plan, version_flag="-v", accounts=("haproxy", "nobody"))


def render(
    origin: UpstreamAddress,
    workspace: Workspace,
    *,
    options: str = "",
    timeout_server: str = "50s",
    mode: str = "http",
) -> str:
    """Return haproxy.cfg, with the three timeouts that haproxy requires."""
    account = (
        f"    user {workspace.account.user}\n    group {workspace.account.group}\n"
        if workspace.account
        else ""
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
    bind 127.0.0.1:{workspace.port}
{indent_directives(options, 4)}\
    server origin {origin.authority}
"""
