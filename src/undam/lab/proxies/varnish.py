"""Varnish as a plain relay. Default: streams."""

from __future__ import annotations

from undam.lab.proxies.plan import LaunchPlan, Upstream, Workspace, inset, upstream_of
from undam.lab.proxies.process import Proxy, start


def start_varnish(upstream: str, *, vcl_response: str = "", vcl_recv: str = "") -> Proxy:
    """Start Varnish before ``upstream`` (``http://HOST:PORT``).

    ``vcl_response`` are statements for ``vcl_backend_response`` (``set beresp.do_gzip = true;``),
    ``vcl_recv`` for ``vcl_recv``.
    """
    origin = upstream_of(upstream)

    def plan(place: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(origin, vcl_response=vcl_response, vcl_recv=vcl_recv),
            config_name="default.vcl",
            arguments=(
                *("-F", "-n", str(place.directory / "work"), "-a", f"127.0.0.1:{place.port}"),
                *("-f", str(place.directory / "default.vcl")),
                *("-s", "malloc,16m", "-T", "none"),
            ),
            folders=("work",),
        )

    return start("varnish", plan, program="varnishd", version_flag="-V", accounts=("varnish",))


def render(origin: Upstream, *, vcl_response: str = "", vcl_recv: str = "") -> str:
    """The VCL; what is not asked for stays Varnish's own."""
    return f"""\
vcl 4.1;

backend origin {{
    .host = "{origin.host}";
    .port = "{origin.port}";
}}

sub vcl_recv {{
{inset(vcl_recv, 4)}\
}}

sub vcl_backend_response {{
{inset(vcl_response, 4)}\
}}
"""
