"""squid as an accelerator that caches nothing. Default: streams."""

from __future__ import annotations

from undam.lab.proxies.plan import LaunchPlan, Upstream, Workspace, inset, upstream_of
from undam.lab.proxies.process import Proxy, start


def start_squid(upstream: str, *, extra: str = "") -> Proxy:
    """Start squid before ``upstream`` (``http://HOST:PORT``); ``extra`` are further directives."""
    origin = upstream_of(upstream)

    def plan(place: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(origin, place, extra=extra),
            config_name="squid.conf",
            arguments=("-N", "-f", str(place.directory / "squid.conf")),
        )

    return start("squid", plan, version_flag="-v", accounts=("proxy", "squid", "nobody"))


def render(origin: Upstream, place: Workspace, *, extra: str = "") -> str:
    """The text of squid.conf."""
    account = ""
    if place.account:
        account = (
            f"cache_effective_user {place.account.user}\n"
            f"cache_effective_group {place.account.group}\n"
        )
    return f"""\
{account}http_port 127.0.0.1:{place.port} accel defaultsite=127.0.0.1 no-vhost
cache_peer {origin.host} parent {origin.port} 0 no-query no-digest originserver name=origin
http_access allow all
never_direct allow all
cache deny all
access_log none
cache_store_log none
netdb_filename none
cache_log {place.directory}/cache.log
pid_filename {place.directory}/squid.pid
coredump_dir {place.directory}
visible_hostname undam
pinger_enable off
shutdown_lifetime 0 seconds
{inset(extra, 0)}"""
