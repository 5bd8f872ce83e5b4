"""squid as an accelerator without a cache. It streams by default."""

from __future__ import annotations

from undam.lab.proxies.plan import (
    LaunchPlan,
    UpstreamAddress,
    Workspace,
    indent_directives,
    parse_upstream,
)
from undam.lab.proxies.process import RunningProxy, start


def start_squid(upstream: str, *, extra: str = "") -> RunningProxy:
    """Start squid in front of ``upstream`` (``http://HOST:PORT``); ``extra`` adds directives."""
    origin = parse_upstream(upstream)

    def plan(workspace: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(origin, workspace, extra=extra),
            config_name="squid.conf",
            arguments=("-N", "-f", str(workspace.directory / "squid.conf")),
        )

    return start("squid", plan, version_flag="-v", accounts=("proxy", "squid", "nobody"))


def render(origin: UpstreamAddress, workspace: Workspace, *, extra: str = "") -> str:
    """Return squid.conf."""
    account = ""
    if workspace.account:
        account = (
            f"cache_effective_user {workspace.account.user}\n"
            f"cache_effective_group {workspace.account.group}\n"
        )
    return f"""\
{account}http_port 127.0.0.1:{workspace.port} accel defaultsite=127.0.0.1 no-vhost
cache_peer {origin.host} parent {origin.port} 0 no-query no-digest originserver name=origin
http_access allow all
never_direct allow all
cache deny all
access_log none
cache_store_log none
netdb_filename none
cache_log {workspace.directory}/cache.log
pid_filename {workspace.directory}/squid.pid
coredump_dir {workspace.directory}
visible_hostname undam
pinger_enable off
shutdown_lifetime 0 seconds
{indent_directives(extra, 0)}"""
