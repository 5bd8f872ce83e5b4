"""Envoy rules: affected routes, severities and edits."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.dialect_harness import with_heartbeats
from undam.lint import (
    LintResult,
    RenderRequest,
    Settings,
    Source,
    dialect_named,
    fix_source,
    lint_source,
    recognise_dialect,
)

HERE = Path(__file__).parents[1]
ENVOY = dialect_named("envoy")
CORPUS = sorted((HERE / "corpus" / "envoy").glob("*"))
_TYPE = "type.googleapis.com/envoy.extensions.filters"
FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig"


def manager(
    routes: str = "",
    *,
    limits: str = "",
    host: str = "",
    filters: str = "",
    clusters: str = "",
) -> str:
    """Return a configuration in flow style."""
    return f"""\
static_resources:
  listeners:
  - filter_chains:
    - filters:
      - typed_config:
          "@type": {_TYPE}.network.http_connection_manager.v3.HttpConnectionManager
          {limits}
          route_config: {{virtual_hosts: [{{name: all, {host} routes: [
{routes}
          ]}}]}}
          http_filters: [{filters}]
  clusters: [{clusters}]
"""


def route(action: str = "timeout: 0s", match: str = "prefix: /v1/chat", more: str = "") -> str:
    return f"{{match: {{{match}}}, route: {{cluster: origin, {action}}}, {more}}},"


def lint(text: str, chosen: Settings | None = None) -> LintResult:
    return lint_source(ENVOY, Source("f.yaml", text), chosen or with_heartbeats())


def reported(text: str, chosen: Settings | None = None) -> list[str]:
    return [f"{one.rule.code} {one.severity}" for one in lint(text, chosen).diagnostics]


def fixed(text: str) -> str:
    return fix_source(ENVOY, Source("f.yaml", text), with_heartbeats(), unsafe=True)


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_the_corpus_has_the_expected_findings(file: Path) -> None:
    text = file.read_text("utf-8")
    assert recognise_dialect(file.name, text) is ENVOY
    expected = {
        "still-front-proxy.yaml": ["ENV403 info", "ENV101 info"],
        "stream-llm-gateway.yaml": [
            *("ENV405 error", "ENV401 error", "ENV402 warning", "ENV403 warning"),
        ],
        "stream-routes.json": ["ENV404 warning", "ENV402 error"],
    }
    assert reported(text) == expected[file.name]


@pytest.mark.parametrize(
    ("path", "text", "ours"),
    [
        ("f.yaml", "static_resources:\n  listeners: []\n", True),
        ("-", '{"staticResources": {}}', True),
        ("f.json", '{"@type": "type.googleapis.com/envoy.config.route.v3.X"}', True),
        ("f.py", "static_resources: {}", False),
        ("f.yaml", "# static_resources: {}", False),
        ("f.yaml", "see: https://docs.example.com/envoy.html", False),
        ("f.yaml", "apiVersion: v1\nstatic_resources: {}", False),
        ("f.yaml", "services: {}", False),
    ],
)
def test_files_are_recognised(path: str, text: str, ours: bool) -> None:
    assert ENVOY.recognises(path, text) is ours


class TestRoutes:
    @pytest.mark.parametrize(
        "match",
        ["prefix: /v1/", "path: /sse", "path_separated_prefix: /mcp", "pathSeparatedPrefix: /mcp"],
    )
    def test_routes_are_classified_by_path(self, match: str) -> None:
        assert reported(manager(route("", match))) == ["ENV401 error"]

    def test_routes_are_classified_by_regex(self) -> None:
        assert reported(manager(route("", "safe_regex: {regex: '^/api/stream/.*'}"))) == [
            "ENV401 error"
        ]
        assert reported(manager(route("", "safe_regex: {regex: '^/users/.*'}"))) == []

    def test_a_route_for_all_paths_streams_if_its_cluster_is_an_engine(self) -> None:
        cluster = (
            "{name: origin, load_assignment: {endpoints: [{lb_endpoints: [{endpoint_name: x},"
            " {endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: %s}}}}]}]}}"
        )
        text = manager(route("", "connect_matcher: {}"), clusters=cluster % 11434)
        assert reported(text) == ["ENV401 error"]
        text = manager(route("", "connect_matcher: {}"), clusters=cluster % 80)
        assert reported(text) == []
        assert reported(text, with_heartbeats(stream_paths=("/v2/",))) == ["ENV401 error"]

    def test_weighted_clusters_are_classified_by_name(self) -> None:
        weighted = "weighted_clusters: {clusters: [{name: a}, {name: vllm}, {weight: 1}]}"
        assert reported(manager(f"{{match: {{prefix: /}}, route: {{{weighted}}}}},")) == [
            "ENV401 error"
        ]

    @pytest.mark.parametrize(
        "other", ["{match: {prefix: /v1/}, redirect: {}},", "{match: {prefix: /v1/}, route: x},"]
    )
    def test_only_routes_to_clusters_are_linted(self, other: str) -> None:
        assert reported(manager(other)) == []

    def test_parts_from_elsewhere_are_reported(self) -> None:
        text = manager().replace("route_config:", "rds: {config_source: {}}\n          x:")
        text += "dynamic_resources: {lds_config: {}}\n---\nmore: 1\n"
        found = lint(text)
        assert found.diagnostics == ()
        assert sorted(one.line for one in found.unread) == [8, 14, 16]
        assert "further document" in found.unread[-1].what

    def test_an_empty_configuration_has_no_findings(self) -> None:
        assert lint("") == lint("x: 1") == lint("- 1") == LintResult()


class TestLimits:
    @pytest.mark.parametrize(
        ("action", "expected"),
        [
            ("timeout: 0s", []),
            ("timeout: 3600s", []),
            ("timeout: 0.5s", ["ENV402 error"]),
            ("timeout: {seconds: 90}", ["ENV402 warning"]),
            ("timeout: {nanos: 1}", []),
            ("timeout: {seconds: x}", []),
            ("timeout: soon", []),
            ("timeout: 0s, idle_timeout: 10s", ["ENV404 error"]),
            ("timeout: 0s, idle_timeout: 20s", ["ENV404 warning"]),
            ("timeout: 0s, idle_timeout: 30s", []),
            ("timeout: 0s, idle_timeout: 0s", []),
            ("timeout: 0s, idle_timeout: never", []),
            ("timeout: 0s, max_stream_duration: {max_stream_duration: 9s}", ["ENV403 error"]),
            ("timeout: 0s, retry_policy: {per_try_timeout: 0s}", []),
            ("timeout: 0s, retry_policy: {per_try_idle_timeout: 0s}", []),
        ],
    )
    def test_severity(self, action: str, expected: list[str]) -> None:
        assert reported(manager(route(action))) == expected

    def test_invalid_durations_are_reported(self) -> None:
        found = lint(manager(route("timeout: soon, idle_timeout: late")))
        assert [one.what for one in found.unread] == [
            "the duration of timeout",
            "the duration of idle_timeout",
        ]

    def test_the_limit_of_a_route_overrides_the_managers(self) -> None:
        limits = "stream_idle_timeout: 5s\n          "
        limits += "common_http_protocol_options: {max_stream_duration: 5s}"
        own = "timeout: 0s, idle_timeout: 60s, max_stream_duration: {max_stream_duration: 0s}"
        assert reported(manager(route(own), limits=limits)) == []
        assert reported(manager(route(), limits=limits)) == ["ENV404 error", "ENV403 error"]

    def test_a_limit_of_the_manager_is_fixed_at_each_streaming_route(self) -> None:
        limits = "common_http_protocol_options: {max_stream_duration: 5s}"
        grpc = "timeout: 0s, max_stream_duration: {grpc_timeout_header_max: 1s}"
        routes = "\n".join([route(), route(grpc, "prefix: /v1/messages"), route("", "prefix: /x")])
        text = manager(routes, limits=limits)
        assert reported(text) == ["ENV403 error"]
        ours = "max_stream_duration: {max_stream_duration: 0s}"
        theirs = f"{grpc[:-1]}, max_stream_duration: 0s}}"
        assert fixed(text).splitlines()[8:11] == [
            f"{{match: {{prefix: /v1/chat}}, route: {{cluster: origin, timeout: 0s, {ours}}}, }},",
            f"{{match: {{prefix: /v1/messages}}, route: {{cluster: origin, {theirs}}}, }},",
            "{match: {prefix: /x}, route: {cluster: origin, }, },",
        ]

    def test_rare_heartbeats_make_the_default_too_short(self) -> None:
        assert reported(manager(route()), with_heartbeats(heartbeat_s=200)) == ["ENV404 warning"]
        unread = manager(route(), limits="stream_idle_timeout: x")
        assert reported(unread, with_heartbeats(heartbeat_s=200)) == []

    def test_a_limit_of_a_cluster_is_reported(self) -> None:
        options = "common_http_protocol_options: {max_stream_duration: 600s}"
        kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        typed = f"typed_extension_protocol_options: {{{kind}: {{{options}}}}}"
        for cluster in (f"{{name: origin, {options}}}", f"{{name: origin, {typed}}}"):
            text = manager(route(), clusters=cluster)
            assert reported(text) == ["ENV403 warning"]
            assert "max_stream_duration: 0s" in fixed(text)

    def test_the_retry_policy_of_a_virtual_host_applies(self) -> None:
        host = "retry_policy: {per_try_timeout: 1s, per_try_idle_timeout: 1s},"
        assert reported(manager(route(), host=host)) == ["ENV406 warning", "ENV405 error"]
        own = "timeout: 0s, retry_policy: {retry_on: 5xx}"
        assert reported(manager(route(own), host=host)) == []

    def test_aliased_routes_are_not_edited(self) -> None:
        text = manager(route("")).replace("routes: [", "routes: &r [")
        text += "other: *r\n"
        assert reported(text) == ["ENV401 error"]
        assert fixed(text) == text


def http_filter(name: str, kind: str, settings: str) -> str:
    return f'{{name: {name}, typed_config: {{"@type": {_TYPE}.http.{kind}, {settings}}}}},'


def lua(code: str, *, key: str = "default_source_code: {inline_string: %s}") -> str:
    return http_filter("lua", "lua.v3.Lua", key % f'"{code}"')


OFF = (
    "response_direction_config: {common_config: {enabled: {default_value: false},"
    " content_type: [text/event-stream]}}"
)
BY_ZSTD = (
    'content_type: [text/event-stream], compressor_library: {typed_config: {"@type": a/b.Zstd}}'
)
READS = "function envoy_on_response(h) local b = h : body() end"


class TestFilters:
    @pytest.mark.parametrize(
        ("code", "held"),
        [
            (READS, True),
            (READS.replace("body", "bodyChunks"), False),
            ("local x = 1", False),
            ("function envoy_on_request(h) h:body() end", False),
            (
                READS.replace("h : body()", "nil") + " function envoy_on_request(h) h:body() end",
                False,
            ),
            ("function envoy_on_response(h)\\n -- h:body()\\nend", False),
        ],
    )
    def test_lua_code_that_reads_the_body_is_reported(self, code: str, held: bool) -> None:
        assert bool(reported(manager(route(), filters=lua(code)))) is held

    def test_lua_code_is_found_in_each_position(self) -> None:
        old = lua(READS, key="inline_code: %s")
        assert reported(manager(route(), filters=old)) == ["ENV101 error"]
        named = lua("x.lua", key="default_source_code: {filename: %s}")
        found = lint(manager(route(), filters=named))
        assert [one.what for one in found.unread] == ["the Lua code in x.lua"]
        assert lint(manager(filters=named)) == LintResult()

    @pytest.mark.parametrize(
        ("kind", "settings", "expected"),
        [
            ("lua.v3.Lua", "", []),
            ("lua.v3.Lua", "default_source_code: {inline_bytes: x}", []),
            ("router.v3.Router", "", []),
            ("buffer.v3.Buffer", "max_request_bytes: 9", []),
            ("ext_proc.v3.ExternalProcessor", "", []),
            (
                "ext_proc.v3.ExternalProcessor",
                "processing_mode: {response_body_mode: BUFFERED_PARTIAL}",
                ["ENV102 error"],
            ),
            ("file_system_buffer.v3.FileSystemBufferFilterConfig", "", []),
            (
                "file_system_buffer.v3.FileSystemBufferFilterConfig",
                "response: {behavior: {fully_buffer_and_always_inject_content_length: {}}}",
                ["ENV103 error"],
            ),
            (
                "ext_proc.v3.ExternalProcessor",
                "processing_mode: {response_body_mode: BUFFERED}, allow_mode_override: false",
                ["ENV102 error"],
            ),
            (
                "ext_proc.v3.ExternalProcessor",
                "processing_mode: {response_body_mode: BUFFERED}, allow_mode_override: true",
                ["ENV102 warning"],
            ),
            (
                "ext_proc.v3.ExternalProcessor",
                "processing_mode: {response_body_mode: STREAMED}, allow_mode_override: true",
                [],
            ),
            ("compressor.v3.Compressor", "", []),
            ("compressor.v3.Compressor", "content_type: [text/html]", []),
            ("compressor.v3.Compressor", "contentType: [text/event-stream]", ["ENV105 info"]),
            (
                "compressor.v3.Compressor",
                BY_ZSTD,
                ["ENV104 error"],
            ),
            (
                "compressor.v3.Compressor",
                OFF,
                [],
            ),
        ],
    )
    def test_filters_that_hold_streams_are_reported(
        self, kind: str, settings: str, expected: list[str]
    ) -> None:
        text = manager(route(), filters=http_filter("one", kind, settings))
        assert reported(text) == expected
        assert reported(manager(route("", "prefix: /x"), filters=http_filter("a", kind, ""))) == []

    @pytest.mark.parametrize(
        ("mode", "own", "expected"),
        [
            ("NONE", "overrides: {processing_mode: {response_body_mode: BUFFERED}}", ["error"]),
            ("BUFFERED", "overrides: {processing_mode: {response_body_mode: STREAMED}}", []),
            ("BUFFERED", "overrides: {processing_mode: {request_body_mode: BUFFERED}}", []),
            ("BUFFERED", "overrides: {grpc_service: {}}", ["error"]),
            ("NONE", "overrides: {grpc_service: {}}", []),
            ("BUFFERED", "disabled: true", []),
            ("BUFFERED", f'"@type": {FILTER_CONFIG}, config: {{}}', ["error"]),
            (
                "BUFFERED",
                (
                    f'"@type": {FILTER_CONFIG}, config: {{"@type": x, overrides: '
                    "{processing_mode: {response_body_mode: NONE}}}"
                ),
                [],
            ),
        ],
    )
    def test_the_settings_of_a_route_replace_those_of_an_external_processor(
        self, mode: str, own: str, expected: list[str]
    ) -> None:
        kind = "ext_proc.v3.ExternalProcessor"
        settings = f"processing_mode: {{response_body_mode: {mode}}}"
        around = f"typed_per_filter_config: {{ext: {{{own}}}}},"
        text = manager(route(), host=around, filters=http_filter("ext", kind, settings))
        wanted = [f"ENV102 {one}" for one in expected]
        assert reported(text) == wanted
        allowed = http_filter("ext", kind, f"{settings}, allow_mode_override: true")
        text = manager(route(), host=around, filters=allowed)
        assert reported(text) == [one.replace("error", "warning") for one in wanted]

    @pytest.mark.parametrize(
        ("own", "expected"),
        [
            ("", []),
            (f'typed_per_filter_config: {{ext: {{"@type": {FILTER_CONFIG}}}}},', ["ENV102 error"]),
        ],
    )
    def test_a_disabled_filter_holds_only_routes_that_turn_it_on(
        self, own: str, expected: list[str]
    ) -> None:
        settings = "processing_mode: {response_body_mode: BUFFERED}"
        off = http_filter("ext", "ext_proc.v3.ExternalProcessor", settings)
        off = off.replace("name: ext,", "name: ext, disabled: true,")
        assert "disabled" in off
        assert reported(manager(route(), host=own, filters=off)) == expected

    def test_a_route_that_overrides_other_settings_is_reported_without_a_fix(self) -> None:
        settings = "processing_mode: {response_body_mode: BUFFERED}"
        one = http_filter("ext", "ext_proc.v3.ExternalProcessor", settings)
        own = "typed_per_filter_config: {ext: {overrides: {grpc_service: {}}}}"
        text = manager(route(more=own), filters=one)
        assert reported(text) == ["ENV102 error"]
        assert fix_source(ENVOY, Source("envoy.yaml", text), Settings(), unsafe=True) == text

    def test_lua_code_of_a_route_replaces_that_of_the_filter(self) -> None:
        code = "function envoy_on_response(h) h:body() end"
        own = "typed_per_filter_config: {lua: {source_code: {inline_string: x}}},"
        assert reported(manager(route(), filters=lua(code))) == ["ENV101 error"]
        assert reported(manager(route(), host=own, filters=lua(code))) == []

    def test_weighted_clusters_override_their_route(self) -> None:
        off = "typed_per_filter_config: {ext: {disabled: true}}"
        settings = "processing_mode: {response_body_mode: BUFFERED}"
        one = http_filter("ext", "ext_proc.v3.ExternalProcessor", settings)
        for others, expected in ((off, []), ("weight: 1", ["ENV102 error"])):
            clusters = f"[{{name: a, {off}}}, {{name: b, {others}}}]"
            action = f"weighted_clusters: {{clusters: {clusters}}}, timeout: 0s"
            text = manager(route(action).replace("cluster: origin, ", ""), filters=one)
            assert reported(text) == expected

    def test_settings_of_the_whole_server_are_remarks_if_no_route_is_known_to_stream(self) -> None:
        limits = "common_http_protocol_options: {max_stream_duration: 60s}"
        buffered = http_filter(
            "ext",
            "ext_proc.v3.ExternalProcessor",
            "processing_mode: {response_body_mode: BUFFERED}",
        )
        shop = route("timeout: 0s", "prefix: /").replace("origin", "shop")
        text = manager(shop, limits=limits, filters=buffered)
        assert reported(text) == ["ENV403 info", "ENV102 info"]
        assert fix_source(ENVOY, Source("envoy.yaml", text), Settings(), unsafe=True) == text
        off = buffered.replace("name: ext,", "name: ext, disabled: true,")
        assert reported(manager(shop, limits=limits.replace("60s", "0s"), filters=off)) == []
        health = route("timeout: 0s", "prefix: /healthz")
        assert reported(manager(health, limits=limits, filters=buffered)) == []

    @pytest.mark.parametrize("place", ["route", "host"])
    def test_a_route_with_its_own_setting_is_not_reported(self, place: str) -> None:
        own = "typed_per_filter_config: {lua: {disabled: true}},"
        text = manager(
            route(more=own if place == "route" else ""),
            host=own if place == "host" else "",
            filters=lua(READS),
        )
        assert reported(text) == []

    def test_disabling_keeps_existing_settings(self) -> None:
        own = "typed_per_filter_config: {cors: {}}"
        text = manager(route(more=own), filters=lua(READS))
        assert '{cors: {}, lua: {"@type": type.' in fixed(text)
        assert reported(fixed(text)) == []

    def test_a_filter_is_disabled_on_all_routes_or_none(self) -> None:
        text = manager(f"{route()}\n*r,", filters=lua(READS))
        text = f"r: &r {route(match='prefix: /v1/messages')[:-1]}\n{text}"
        assert reported(text) == ["ENV101 error"]
        assert fixed(text) == text

    def test_new_fields_use_the_spelling_of_the_routes(self) -> None:
        text = manager(route(), filters=lua(READS), limits="streamIdleTimeout: 1s")
        text = text.replace("virtual_hosts", "virtualHosts").replace("route_config", "routeConfig")
        assert "typedPerFilterConfig: {lua:" in fixed(text)
        assert "idleTimeout: 3600s" in fixed(text)

    def test_a_filter_with_an_unusual_name_is_not_edited(self) -> None:
        odd = lua(READS).replace("name: lua", 'name: "\\u2028"')
        text = manager(route(), filters=odd)
        assert reported(text) == ["ENV101 error"]
        assert fixed(text) == text

    def test_filters_without_names_or_settings_are_skipped(self) -> None:
        assert reported(manager(route(), filters="{name: a}, {typed_config: {}}, b")) == []


def test_rendered_configurations_have_no_findings() -> None:
    for path in ("/", "/v1/"):
        request = RenderRequest(upstream="http://llm", path=path, idle_s=90, listen="[::1]:8080")
        text = ENVOY.render(request)
        assert lint(text, with_heartbeats(stream_paths=("/",))).diagnostics == ()
        assert "port_value: 80\n" in text
        assert 'address: "::1"' in text
        assert recognise_dialect("envoy.yaml", text) is ENVOY
