"""nginx rules, with configurations that are more complex than those in tests/rules."""

from __future__ import annotations

import pytest

from support.dialect_harness import with_heartbeats
from undam.lint import (
    Source,
    dialect_named,
    fix_source,
    fix_sources,
    lint_source,
)
from undam.lint.dialect import IncludeOpener, no_includes
from undam.lint.dialects.nginx.times import seconds_of
from undam.lint.routes import RouteOutcome
from undam.rules import Severity
from undam.textfiles.templates import template_source
from undam.versions import Version

NGINX = dialect_named("nginx")
UP = "proxy_pass http://127.0.0.1:9000;"
OFF = "proxy_buffering off;"


def reported(
    text: str, open_include: IncludeOpener = no_includes, **options: object
) -> list[tuple[str, int]]:
    """Return the code and line of each diagnostic."""
    chosen = with_heartbeats(**options)
    found = lint_source(NGINX, Source("f.conf", text), chosen, open_include)
    return [(one.rule.code, one.line) for one in found.diagnostics]


def codes(text: str, **options: object) -> list[str]:
    return [code for code, _ in reported(text, **options)]  # type: ignore[arg-type]


def fixed(text: str, open_include: IncludeOpener = no_includes) -> str:
    return fix_source(
        NGINX, Source("f.conf", text), with_heartbeats(), unsafe=True, open_include=open_include
    )


def files(**texts: str) -> IncludeOpener:
    return lambda pattern: [Source(pattern, texts[pattern])] if pattern in texts else []


# routes


@pytest.mark.parametrize(
    "text",
    [
        "upstream a { server vllm:8000; } server { location / { proxy_pass http://a/x; } }",
        "server { set $to http://llm:1; location / { proxy_pass $to; } }",
        "upstream b { server tgi; } map $uri $a { x.org b; } location / { proxy_pass http://$a; }",
        "map $a $b { x http://${c}; } map $d $c { x sglang:1; } location / { proxy_pass $b; }",
        "server { location @a { proxy_pass http://x; } location /v1/chat { try_files /a @a; } }",
        "server { location /v1 { if ($a) { proxy_pass http://x; } } }",
        "server { location /a { location /a/v1/chat { proxy_pass http://x; } } }",
        "http { server { location ~ ^/v1/(a|b) { proxy_pass http://llm; } } }",
        "location /sse { proxy_pass http://x; }",
        "server { location /v1 { limit_except GET { proxy_pass http://x; } } }",
    ],
)
def test_routes_that_stream_are_found(text: str) -> None:
    assert codes(text) == ["NGX101"]
    assert codes(fixed(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "server { location / { proxy_pass http://x; } }",
        "server { location /v1/chat { root /srv; } }",
        "server { location /v1/chat { return 200; } location / { proxy_pass http://x; } }",
        "server { set $a; location / { proxy_pass http://$a$b; } } map x { }",
        "server { location { proxy_pass http://x; } }",
        "stream { server { listen 1; proxy_pass llm:1; } }",
        "if ($x) { proxy_pass http://vllm; }",
        "server { location /v1/ { grpc_pass grpc://llm:1; } }",
        "server { location /v1/ { proxy_pass http://x; proxy_buffering OFF; } }",
        "http { proxy_buffering off; server { location /v1/ { proxy_pass http://x; } } }",
        "location { set $x; set; } upstream; map; proxy_pass;",
    ],
)
def test_other_routes_have_no_findings(text: str) -> None:
    assert codes(text) == []


def test_user_paths_select_the_location_that_nginx_would_select() -> None:
    text = """
server {
    location / { proxy_pass http://llm; }
    location /api/ { proxy_pass http://x; }
    location /api/tell/ { proxy_pass http://x; }
    location ~ ^/api/ask(/|$) { proxy_pass http://x; }
    location /api/tell/more { proxy_pass http://x; }
    location ~ \\.php$ { proxy_pass http://x; }
}"""

    def lines(*paths: str) -> list[int]:
        return [line for _, line in reported(text, stream_paths=paths)]

    assert lines("/api/tell/") == [5, 7]
    assert lines("/api/ask") == [6]
    assert lines("/other") == [3]
    assert lines("/api/tell/more/and", "/api/x") == [4, 7]
    assert reported("location /a { proxy_pass http://x; }", stream_paths=("/b",)) == []


# Rules about buffering: only the most specific finding per route is reported.


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("", "NGX101"),
        ("proxy_buffering on;", "NGX101"),
        ("proxy_http_version 1.1;", "NGX102"),
        ("proxy_http_version 2;", "NGX102"),
        ("gzip on; gzip_types *;", "NGX103"),
        ("gzip on; gzip_types *; proxy_http_version 1.1; proxy_cache a;", "NGX103"),
        ("gzip on;", "NGX101"),
        ("gzip off; gzip_types *;", "NGX101"),
        ("proxy_http_version 1.1; proxy_cache a;", "NGX104"),
        ("proxy_http_version 1.1; proxy_cache off;", "NGX102"),
        ("proxy_cache a;", "NGX101"),
        ("proxy_ignore_headers Expires x-accel-buffering;", "NGX105"),
        ("proxy_ignore_headers Expires;", "NGX101"),
        ("proxy_buffer_size 1k;", "NGX106"),
        ("proxy_http_version 1.1; proxy_limit_rate 1k; proxy_cache a;", "NGX108"),
        ("proxy_http_version 1.1; proxy_limit_rate 0;", "NGX102"),
        ("proxy_limit_rate 1k;", "NGX101"),
        ("proxy_set_header x-accel-buffering no; proxy_buffer_size 1k;", "NGX201"),
        ("add_header X-Accel-Buffering no; proxy_request_buffering off;", "NGX202"),
        ("proxy_request_buffering off; proxy_buffer_size 1k;", "NGX204"),
        ("proxy_request_buffering off;", "NGX204"),
        ("proxy_request_buffering on;", "NGX101"),
        ("proxy_buffering on; proxy_set_header X-Accel-Buffering no;", "NGX101"),
    ],
)
def test_a_held_route_is_reported_once(lines: str, code: str) -> None:
    text = f"location /v1/ {{ {UP} {lines} }}"
    assert codes(text) == [code]
    after = fixed(text)
    assert [found for found in codes(after) if found != "NGX201"] == []
    assert after.count("proxy_buffering") == 1


@pytest.mark.parametrize("protocol", ["uwsgi", "fastcgi", "scgi"])
def test_each_protocol_has_its_own_directive(protocol: str) -> None:
    text = f"location /sse {{\n  {protocol}_pass x:1;\n  proxy_buffering off;\n}}"
    assert reported(text) == [("NGX109", 2)]
    assert f"  {protocol}_buffering off;\n" in fixed(text)


def test_a_location_may_use_two_protocols() -> None:
    text = "location /sse { if ($a) { fastcgi_pass x; } proxy_pass http://y; }"
    assert codes(text) == ["NGX109", "NGX101"]
    assert codes(fixed(text)) == []


# Position of the fix.


def test_a_fix_is_inserted_into_the_location_itself() -> None:
    included = files(**{"proxy.conf": UP})
    text = "location /v1/ {\n    include proxy.conf;\n}\n"
    assert reported(text, included) == [("NGX101", 1)]
    assert fixed(text, included) == f"location /v1/ {{\n    {OFF}\n    include proxy.conf;\n}}\n"


def test_a_wrong_value_is_fixed_in_place() -> None:
    included = files(**{"proxy.conf": "proxy_buffering on;\n"})
    text = f"location /v1/ {{\n    include proxy.conf;\n    {UP}\n}}\n"
    source = Source("f.conf", text)
    changed = fix_sources(NGINX, source, with_heartbeats(), open_include=included)
    assert changed == {"proxy.conf": "proxy_buffering off;\n"}


def test_a_file_that_is_included_twice_is_reported_once() -> None:
    included = files(api=f"location /v1/ {{ {UP} }}")
    found = lint_source(
        NGINX,
        Source("f", "server { include api; } server { include api; }"),
        with_heartbeats(),
        included,
    )
    assert [(one.path, one.rule.code) for one in found.diagnostics] == [("api", "NGX101")]
    assert [one.path for one in found.included] == ["api"]


def test_a_supposed_fix_that_hides_outer_lines_is_kept() -> None:
    text = f"""\
proxy_set_header Host $host;
server {{
    location /v1/ {{
        {UP}
        proxy_set_header X-Accel-Buffering no;
    }}
}}
"""
    line = "        proxy_set_header X-Accel-Buffering no;\n"
    after = fixed(text)
    assert after == text.replace(line, f"{line}        {OFF}\n")
    # After the fix, only an INFO finding without a fix is left.
    (left,) = lint_source(NGINX, Source("f", after), with_heartbeats()).diagnostics
    assert (left.rule.code, left.severity, left.edits) == ("NGX201", Severity.INFO, ())


def test_an_inherited_supposed_fix_is_reported_at_each_route() -> None:
    text = f"""\
server {{
    proxy_set_header X-Accel-Buffering no;
    add_header X-Accel-Buffering no;
    location /v1/ {{
        {UP}
    }}
    location /sse {{
        {UP}
        add_header A b;
        proxy_set_header A b;
    }}
}}
"""
    assert reported(text) == [("NGX201", 5), ("NGX101", 8)]
    assert codes(fixed(text)) == []


def test_an_ineffective_line_beside_the_fix_is_an_info() -> None:
    text = f"location /v1/ {{\n {UP}\n {OFF}\n proxy_set_header X-Accel-Buffering no;\n}}"
    (found,) = lint_source(NGINX, Source("f", text), with_heartbeats()).diagnostics
    assert found.severity is Severity.INFO
    assert fixed(text) == f"location /v1/ {{\n {UP}\n {OFF}\n}}"


def test_chunks_disabled_at_an_outer_level_are_enabled() -> None:
    text = f"chunked_transfer_encoding off;\nlocation /v1/ {{\n {UP}\n {OFF}\n}}"
    assert reported(text) == [("NGX203", 3)]
    assert " chunked_transfer_encoding on;\n" in fixed(text)


@pytest.mark.parametrize(
    ("outer", "inner", "after"),
    [
        ("", "sub_filter_types *;", ""),
        ("", "sub_filter_types * a/b;", "sub_filter_types a/b;"),
        ("sub_filter_types c/d;", "sub_filter_types *;", None),
        ("sub_filter_types *;", "", None),
        ("", "sub_filter_types *; sub_filter_types a/b;", None),
    ],
)
def test_the_type_is_removed_from_a_filter_on_one_line(
    outer: str, inner: str, after: str | None
) -> None:
    start = f"{outer}\nlocation /v1/ {{ {UP} {OFF} sub_filter '\\r\\nx' ''; sub_filter a '';"
    text = f"{start} {inner}\n}}"
    assert codes(text) == ["NGX107"]
    assert fixed(text) == (text if after is None else f"{start}{' ' * bool(after)}{after}\n}}")


def test_an_unknown_filter_of_another_file_is_not_edited() -> None:
    included = files(part="sub_filter '\\nx' '';")
    text = f"location /v1/ {{ {UP} {OFF} sub_filter_types *; include part; }}"
    (found,) = lint_source(NGINX, Source("f", text), with_heartbeats(), included).diagnostics
    assert (found.path, found.edits) == ("part", ())


def test_http_10_from_an_outer_level_is_overridden() -> None:
    text = f"proxy_http_version 1.0;\nlocation /v1/ {{\n {UP}\n {OFF}\n}}"
    assert codes(text) == ["NGX110"]
    assert " proxy_http_version 1.1;\n" in fixed(text)


@pytest.mark.parametrize(
    ("outer", "inner", "can"),
    [
        ("", "proxy_hide_header Server;", True),
        ("proxy_hide_header Server;", "", False),
        ("proxy_pass_header Server;", "", False),
        ("proxy_pass_header Server;", "proxy_pass_header Date;", True),
    ],
)
def test_a_hidden_header_is_passed_on_if_nothing_else_changes(
    outer: str, inner: str, can: bool
) -> None:
    start = f"{outer}\nlocation /v1/ {{ {UP} {OFF} {inner} "
    text = f"{start}proxy_hide_header X-Accel-Buffering; }}"
    assert codes(text) == ["NGX112"]
    assert fixed(text) == (f"{start}proxy_pass_header X-Accel-Buffering; }}" if can else text)


@pytest.mark.parametrize("protocol", ["proxy", "uwsgi", "fastcgi", "scgi"])
def test_ignored_aborts_are_reported_for_each_protocol(protocol: str) -> None:
    text = f"location /v1/ {{ {protocol}_pass http://x; {protocol}_buffering off; }}"
    assert codes(f"{protocol}_ignore_client_abort on; {text}") == ["NGX111"]


# limits


@pytest.mark.parametrize(
    ("limit", "heartbeat_s", "fires"),
    [
        ("", 15, False),
        ("", 31, True),
        ("proxy_read_timeout 29;", 15, True),
        ("proxy_read_timeout 30;", 15, False),
        ("proxy_read_timeout $limit;", 15, False),
        ("proxy_read_timeout '1m 30s';", 45, False),
        ("proxy_read_timeout '1m 30s';", 46, True),
    ],
)
def test_limits_are_compared_with_the_heartbeat(
    limit: str, heartbeat_s: float, fires: bool
) -> None:
    text = f"location /v1/ {{ {UP} {OFF} {limit} }}"
    assert codes(text, heartbeat_s=heartbeat_s) == ["NGX401"] * fires


def test_grpc_has_its_own_limit() -> None:
    text = "location /v1/ { grpc_pass llm:1; grpc_read_timeout 5s; proxy_read_timeout 1s; }"
    assert fixed(text) == text.replace("5s", "3600s")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60", 60), ("1h 30m", 5400), ("1M", 2592000), ("500ms", 0.5), ("1y2w3d", 33_004_800),
        ("", None), ("x", None), ("5 x", None), ("-1", None),
    ],
)  # fmt: skip
def test_times_are_parsed_as_nginx_parses_them(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("add_header Content-Type text/event-stream;", RouteOutcome.STREAMS),
        ("default_type text/event-stream;", RouteOutcome.STREAMS),
        ("proxy_set_header Accept text/event-stream;", RouteOutcome.STREAMS),
        ("default_type text/html;", RouteOutcome.UNKNOWN),
        ("client_max_body_size 1m;", RouteOutcome.UNKNOWN),
    ],
)
def test_settings_for_event_streams_are_evidence(line: str, outcome: RouteOutcome) -> None:
    text = f"server {{ location /x {{ proxy_pass http://app; {line} }} }}"
    (route,) = lint_source(NGINX, Source("f.conf", text), with_heartbeats()).routes
    assert route.outcome is outcome


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("gzip on; gzip_types text/event-stream;", ["NGX103"]),
        ("gzip on; gzip_types text/css;", []),
        ("gzip off; gzip_types text/event-stream;", []),
        ("gzip on; gzip_types text/event-stream; proxy_buffering off;", []),
    ],
)
def test_compression_of_event_streams_is_a_remark_on_a_route_without_evidence(
    lines: str, expected: list[str]
) -> None:
    text = f"server {{ location /x {{ proxy_pass http://app; {lines} }} }}"
    found = lint_source(NGINX, Source("f.conf", text), with_heartbeats()).diagnostics
    assert [one.rule.code for one in found if one.rule.code == "NGX103"] == expected
    assert all(one.severity is not Severity.ERROR for one in found)


CHAT_WITH = """\
server {
  %s
  location /v1/chat { proxy_pass http://app;
  %s
  }
  location /x { proxy_pass http://app;
  %s
  }
}
"""


@pytest.mark.parametrize(
    ("holes", "severity"),
    [
        (("", "", ""), Severity.ERROR),
        (("{{ a }}", "", ""), Severity.WARNING),
        (("", "{{ a }}", ""), Severity.WARNING),
        (("", "", "{{ a }}"), Severity.ERROR),
    ],
)
def test_a_placeholder_limits_what_is_certain_in_its_own_scope(
    holes: tuple[str, str, str], severity: Severity
) -> None:
    source = template_source("f.conf.j2", CHAT_WITH % holes)
    target = {"nginx": Version.parse("1.28")}
    (found,) = lint_source(NGINX, source, with_heartbeats(targets=target)).diagnostics
    assert (found.rule.code, found.severity) == ("NGX101", severity)
    assert bool(found.edits) is (severity is Severity.ERROR)


def test_a_placeholder_of_an_included_file_is_in_the_scope_that_includes_it() -> None:
    part = template_source("part.j2", "{{ more }}\n")
    text = "server { location /v1/chat { proxy_pass http://app; include part; } }"
    result = lint_source(NGINX, Source("f.conf", text), with_heartbeats(), lambda _: [part])
    assert [one.edits for one in result.diagnostics] == [()]
    assert [(one.path, one.line) for one in result.unread] == [("part.j2", 1)]


def test_a_read_timeout_of_zero_ends_the_stream_at_once() -> None:
    text = (
        f"server {{ location /v1/ {{ {UP} {OFF} proxy_http_version 1.1; proxy_read_timeout 0; }} }}"
    )
    result = lint_source(NGINX, Source("f.conf", text), with_heartbeats())
    (route,) = result.routes
    assert route.hop is not None
    assert route.hop.idle_limit_s == 0.001
    assert [one.rule.code for one in result.diagnostics] == ["NGX401"]


def test_a_value_that_a_template_fills_in_is_reported_as_unread() -> None:
    text = "server { location /v1/ { proxy_pass ${OLLAMA_URL}; proxy_buffering ${BUFFERING}; } }"
    result = lint_source(NGINX, template_source("f.conf.template", text), with_heartbeats())
    assert [one.what.partition(":")[0] for one in result.unread] == ["the value of proxy_buffering"]
    assert [one.assessment.outcome for one in result.routes] == [RouteOutcome.STREAMS]


def test_an_empty_server_in_an_upstream_is_ignored() -> None:
    text = f"upstream a {{ server; }} server {{ location / {{ proxy_pass http://a; {OFF} }} }}"
    assert codes(text) == []
