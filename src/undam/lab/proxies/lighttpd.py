"""lighttpd with mod_proxy. By default, it buffers the whole response."""

from __future__ import annotations

from typing import Literal

from undam.lab.proxies.plan import (
    LaunchPlan,
    UpstreamAddress,
    Workspace,
    indent_directives,
    parse_upstream,
)
from undam.lab.proxies.process import RunningProxy, start


def start_lighttpd(
    upstream: str, *, stream_response_body: Literal[0, 1, 2] | None = None, extra: str = ""
) -> RunningProxy:
    """Start lighttpd in front of ``upstream`` (``http://HOST:PORT``).

    Without ``stream_response_body``, lighttpd's default 0 applies. ``extra`` contains further
    directives.
    """
    origin = parse_upstream(upstream)

    def plan(workspace: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(
                origin, workspace, stream_response_body=stream_response_body, extra=extra
            ),
            config_name="lighttpd.conf",
            arguments=("-D", "-f", "lighttpd.conf"),
        )

    return start("lighttpd", plan, version_flag="-v", accounts=("www-data", "nobody"))


def render(
    origin: UpstreamAddress,
    workspace: Workspace,
    *,
    stream_response_body: int | None = None,
    extra: str = "",
) -> str:
    """Return lighttpd.conf; options that are not given keep lighttpd's defaults."""
    account = ""
    if workspace.account:
        account = (
            f'server.username = "{workspace.account.user}"\n'
            f'server.groupname = "{workspace.account.group}"\n'
        )
    streaming = ""
    if stream_response_body is not None:
        streaming = f"server.stream-response-body = {stream_response_body}\n"
    return f"""\
server.modules = ( "mod_proxy" )
server.document-root = "{workspace.directory}"
server.upload-dirs = ( "{workspace.directory}" )
server.errorlog = "{workspace.directory}/error.log"
server.bind = "127.0.0.1"
server.port = {workspace.port}
{account}{streaming}{indent_directives(extra, 0)}\
proxy.server = ( "" => (( "host" => "{origin.host}", "port" => {origin.port} )) )
"""
