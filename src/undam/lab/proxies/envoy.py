"""Envoy with one route. By default, it streams but ends each response after 15 s."""

from __future__ import annotations

import json

from undam.lab.proxies.plan import LaunchPlan, UpstreamAddress, Workspace, parse_upstream
from undam.lab.proxies.process import RunningProxy, start

_HTTP = "type.googleapis.com/envoy.extensions.filters.http"
_MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network"
    ".http_connection_manager.v3.HttpConnectionManager"
)
_GZIP = "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip"

Json = dict[str, object]


def start_envoy(
    upstream: str,
    *,
    route_timeout: str | None = None,
    stream_idle_timeout: str | None = None,
    gzip: bool = False,
    lua: str = "",
) -> RunningProxy:
    """Start Envoy in front of ``upstream`` (``http://HOST:PORT``).

    Without ``route_timeout`` (``3s``; ``0s`` for none), Envoy's default of 15 s applies. Without
    ``stream_idle_timeout``, its default of 5 min applies. ``gzip`` also compresses event streams.
    ``lua`` is the code of a Lua filter.
    """
    origin = parse_upstream(upstream)

    def plan(workspace: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(
                origin,
                workspace,
                route_timeout=route_timeout,
                stream_idle_timeout=stream_idle_timeout,
                filters=[*([_compressor()] if gzip else []), *([_lua(lua)] if lua else [])],
            ),
            config_name="envoy.json",
            arguments=(
                *("-c", "envoy.json", "--concurrency", "1", "--log-level", "warning"),
                "--disable-hot-restart",
            ),
        )

    return start("envoy", plan)


def render(
    origin: UpstreamAddress,
    workspace: Workspace,
    *,
    route_timeout: str | None = None,
    stream_idle_timeout: str | None = None,
    filters: list[Json] | None = None,
) -> str:
    """Return the bootstrap configuration as JSON; ``filters`` are placed before the router."""
    to_origin: Json = {"cluster": "origin"}
    if route_timeout is not None:
        to_origin["timeout"] = route_timeout
    route: Json = {"match": {"prefix": "/"}, "route": to_origin}
    manager: Json = {
        "@type": _MANAGER,
        "stat_prefix": "edge",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [*(filters or []), _filter("router", f"{_HTTP}.router.v3.Router")],
    }
    if stream_idle_timeout is not None:
        manager["stream_idle_timeout"] = stream_idle_timeout
    connections: Json = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": manager,
    }
    listener: Json = {
        "name": "edge",
        "address": _address("127.0.0.1", workspace.port),
        "filter_chains": [{"filters": [connections]}],
    }
    resources: Json = {"listeners": [listener], "clusters": [_cluster(origin)]}
    return json.dumps({"static_resources": resources}, indent=2) + "\n"


def _cluster(origin: UpstreamAddress) -> Json:
    endpoint: Json = {"endpoint": {"address": _address(origin.host.strip("[]"), origin.port)}}
    return {
        "name": "origin",
        "type": "STRICT_DNS",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "origin",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _filter(name: str, kind: str, **settings: object) -> Json:
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": kind, **settings}}


def _compressor() -> Json:
    # Envoy's default list of content types does not include event streams.
    response: Json = {"common_config": {"content_type": ["text/event-stream"]}}
    library: Json = {"name": "gzip", "typed_config": {"@type": _GZIP}}
    return _filter(
        "compressor",
        f"{_HTTP}.compressor.v3.Compressor",
        response_direction_config=response,
        compressor_library=library,
    )


def _lua(code: str) -> Json:
    return _filter("lua", f"{_HTTP}.lua.v3.Lua", default_source_code={"inline_string": code})
