"""lighttpd with mod_proxy. Default: the whole response is held, and gains a Content-Length."""

from __future__ import annotations

from typing import Literal

from undam.lab.proxies.plan import LaunchPlan, Upstream, Workspace, inset, upstream_of
from undam.lab.proxies.process import Proxy, start


def start_lighttpd(
    upstream: str, *, stream_response_body: Literal[0, 1, 2] | None = None, extra: str = ""
) -> Proxy:
    """Start lighttpd before ``upstream`` (``http://HOST:PORT``).

    ``stream_response_body`` left out means lighttpd's own 0; ``extra`` are further directives.
    """
    origin = upstream_of(upstream)

    def plan(place: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(origin, place, stream_response_body=stream_response_body, extra=extra),
            config_name="lighttpd.conf",
            arguments=("-D", "-f", "lighttpd.conf"),
        )

    return start("lighttpd", plan, version_flag="-v", accounts=("www-data", "nobody"))


def render(
    origin: Upstream, place: Workspace, *, stream_response_body: int | None = None, extra: str = ""
) -> str:
    """The text of lighttpd.conf; what is not asked for stays at lighttpd's own default."""
    account = ""
    if place.account:
        account = (
            f'server.username = "{place.account.user}"\n'
            f'server.groupname = "{place.account.group}"\n'
        )
    streaming = ""
    if stream_response_body is not None:
        streaming = f"server.stream-response-body = {stream_response_body}\n"
    return f"""\
server.modules = ( "mod_proxy" )
server.document-root = "{place.directory}"
server.upload-dirs = ( "{place.directory}" )
server.errorlog = "{place.directory}/error.log"
server.bind = "127.0.0.1"
server.port = {place.port}
{account}{streaming}{inset(extra, 0)}\
proxy.server = ( "" => (( "host" => "{origin.host}", "port" => {origin.port} )) )
"""
