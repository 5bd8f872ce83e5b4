"""Varnish as a plain relay. It streams by default."""

from __future__ import annotations

from undam.lab.proxies.plan import (
    LaunchPlan,
    UpstreamAddress,
    Workspace,
    indent_directives,
    parse_upstream,
)
from undam.lab.proxies.process import RunningProxy, start


def start_varnish(upstream: str, *, vcl_response: str = "", vcl_recv: str = "") -> RunningProxy:
    """Start Varnish in front of ``upstream`` (``http://HOST:PORT``).

    ``vcl_response`` contains statements for ``vcl_backend_response``
    (``set beresp.do_gzip = true;``), ``vcl_recv`` for ``vcl_recv``.
    """
    origin = parse_upstream(upstream)

    def plan(workspace: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(origin, vcl_response=vcl_response, vcl_recv=vcl_recv),
            config_name="default.vcl",
            arguments=(
                *(
                    "-F",
                    "-n",
                    str(workspace.directory / "work"),
                    "-a",
                    f"127.0.0.1:{workspace.port}",
                ),
                *("-f", str(workspace.directory / "default.vcl")),
                *("-s", "malloc,16m", "-T", "none"),
            ),
            folders=("work",),
        )

    return start("varnish", plan, program="varnishd", version_flag="-V", accounts=("varnish",))


def render(origin: UpstreamAddress, *, vcl_response: str = "", vcl_recv: str = "") -> str:
    """Return the VCL; options that are not given keep Varnish's defaults."""
    return f"""\
vcl 4.1;

backend origin {{
    .host = "{origin.host}";
    .port = "{origin.port}";
}}

sub vcl_recv {{
{indent_directives(vcl_recv, 4)}\
}}

sub vcl_backend_response {{
{indent_directives(vcl_response, 4)}\
}}
"""
