"""Caddy rules, with configurations that are more complex than those in tests/rules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from support.dialect_harness import DialectHarness, include_opener, with_heartbeats
from support.mutations import damaged_texts, robustness_faults
from support.work import assert_linear
from undam.errors import ConfigSyntaxError, UsageError
from undam.lint import RenderRequest, Source, fix_sources, recognise_dialect
from undam.lint.dialects.caddy.parser import MAX_BLOCKS, duration_s, read_caddyfile
from undam.lint.routes import RouteOutcome
from undam.rules import Severity
from undam.versions import Version

CADDY = DialectHarness("caddy", "CAD")
HELD = "{\n    buffer_responses\n}"


def site(*lines: str) -> str:
    return "\n".join((":80 {", *lines, "}"))


# parsing


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("a {\n}\n}", 3, 1, "no matching"),
        ("a {\nb {\n}", 1, 3, "not closed"),
        ('a "b', 1, 3, '" is not closed'),
        ("a `b", 1, 3, "` is not closed"),
        ("a <<X\nb", 1, 3, "heredoc"),
        ("{\n" * (MAX_BLOCKS + 1), MAX_BLOCKS + 1, 1, "deep"),
    ],
)
def test_syntax_errors_have_a_position(text: str, line: int, column: int, what: str) -> None:
    with pytest.raises(ConfigSyntaxError, match=what) as error:
        CADDY.lint(text)
    assert (error.value.line, error.value.column) == (line, column)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b#c # d", ["b#c"]),
        ('a "b { } c" `d"`', ["b { } c", 'd"']),
        ("a b \\\n  c \\\r\n d", ["b", "c", "d"]),
        ("\ufeffa {$B}{http.x}\r\n", ["{$B}{http.x}"]),
        ("a <<X\n b\n  X c", [" b\n", "c"]),
        ("a\x0b\u2028b c\\d\\", ["b", "c\\d\\"]),
    ],
)
def test_lines_are_split_as_caddy_splits_them(text: str, expected: list[str]) -> None:
    (one,) = read_caddyfile(Source("f", text))
    assert (one.name, list(one.texts)) == ("a", expected)


def test_imports_are_expanded_in_place() -> None:
    inside = include_opener(a=f"reverse_proxy /v1/chat/* up {HELD}", s=f"(t) {{\n}}\n{site()}")
    text = f"import s\nimport\n(x) {{\nimport a\n}}\n{site('import x', 'import', 'import gone')}"
    found = CADDY.lint(text, inside)
    assert [(one.path, one.line, one.rule.code) for one in found.diagnostics] == [
        ("a", 2, "CAD101")
    ]
    changed = fix_sources(CADDY.dialect, Source("f", text), with_heartbeats(), open_include=inside)
    assert changed == {"a": "reverse_proxy /v1/chat/* up {\n}"}


def test_a_line_between_two_sites_belongs_to_neither() -> None:
    held = site(f"reverse_proxy /v1/chat/* up {HELD}")
    text = f"{held}\nreverse_proxy /sse up\n{held}\n"
    assert CADDY.codes_and_lines(text) == [("CAD101", 3), ("CAD101", 9)]
    assert [one.name for one in CADDY.lint(text).routes] == ["/v1/chat/*"] * 2


def test_endless_imports_are_not_followed() -> None:
    for text in ("(x) {\nimport x\n}\n", "(x) {\nimport x\nimport x\n}\n"):
        (unread, *_) = CADDY.lint(text + site("import x")).unread
        assert unread.what == "import x: too many imports"
    assert CADDY.lint("import a", include_opener(a="import a\nimport a")).unread


# routes


@pytest.mark.parametrize(
    "text",
    [
        site(f"reverse_proxy /v1/chat/* up {HELD}"),
        site(f"reverse_proxy vllm:80 {HELD}"),
        site("reverse_proxy {", "to vllm:80", "response_buffers 4MiB", "}"),
        site("handle_path /v1/chat/* {", f"reverse_proxy up {HELD}", "}"),
        site("@c path /x /v1/chat", "route @c {", f"reverse_proxy up {HELD}", "}"),
        site("@c {", "path_regexp n ^/v1/chat", "method GET", "}", f"reverse_proxy @c up {HELD}"),
        f":80\nreverse_proxy /v1/chat/* up {HELD}",
    ],
)
def test_routes_that_stream_are_found(text: str) -> None:
    assert CADDY.codes(text) == ["CAD101"]
    assert CADDY.codes(CADDY.fix(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        site(f"reverse_proxy up {HELD}", f"reverse_proxy @gone up {HELD}"),
        site("handle", f"reverse_proxy /shop/* llm {HELD}", "a b").replace("llm", "up"),
        site("handle /shop/* {", "reverse_proxy up {", "buffer_requests", "}", "}"),
    ],
)
def test_other_routes_have_no_findings(text: str) -> None:
    assert CADDY.codes(text) == []


def test_user_paths_select_the_relay() -> None:
    text = site(f"reverse_proxy /v1/chat/* up {HELD}", f"reverse_proxy /api/* up {HELD}")
    assert CADDY.codes_and_lines(text, stream_paths=("/api/x",)) == [("CAD101", 6)]


# rules

CHAT = "reverse_proxy /v1/chat/* up"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("encode gzip", CHAT), ["CAD102"]),
        (("encode", CHAT), ["CAD102"]),
        (("encode {", "gzip", "}", CHAT), ["CAD102"]),
        (("encode {", "minimum_length 1", "}", CHAT), ["CAD102"]),
        (("encode /shop/* gzip", CHAT), []),
        (("encode {", "gzip", "match header Content-Type text/*", "}", CHAT), ["CAD102"]),
        (("encode {", "match {", "header Content-Type text/html", "}", "}", CHAT), []),
        (("encode {", "match {", "status 200", "}", "}", CHAT), []),
        (("header {", "+X-Accel-Buffering no", "}", CHAT), ["CAD202"]),
        (("header /v1/chat/* A b", CHAT), []),
        ((f"{CHAT} {{", "flush_interval 1s", "}"), ["CAD201"]),
        ((f"{CHAT} {{", "flush_interval", "flush_interval -1", "}"), []),
        ((f"{CHAT} {{", "header_down X-Accel-Buffering no", "}"), ["CAD202"]),
    ],
)
def test_outer_settings_apply_to_the_route(lines: tuple[str, ...], expected: list[str]) -> None:
    assert CADDY.codes(site(*lines)) == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.8.4", [(Severity.WARNING, False)]),
        ("2.9", [(Severity.INFO, True)]),
        ("2.11.6", [(Severity.INFO, True)]),
        ("2.11.7", []),
    ],
)
def test_newer_versions_hold_only_the_head_of_compressed_streams(
    version: str, expected: list[tuple[Severity, bool]]
) -> None:
    target = Version.parse(version)
    found = CADDY.lint(site("encode gzip", CHAT), targets={"caddy": target}).diagnostics
    head = "the response head waits"
    assert [(one.severity, head in one.message) for one in found] == expected


@pytest.mark.parametrize(
    ("option", "outcome"),
    [
        ("header_down Content-Type text/event-stream", RouteOutcome.STREAMS),
        ("header_up Accept text/event-stream", RouteOutcome.STREAMS),
        ("header_down X-Accel-Buffering no", RouteOutcome.STREAMS),
        ("flush_interval -1", RouteOutcome.MAYBE),
        ("flush_interval 1s", RouteOutcome.UNKNOWN),
        ("header_down Content-Type text/html", RouteOutcome.UNKNOWN),
        ("header_down", RouteOutcome.UNKNOWN),
    ],
)
def test_settings_for_event_streams_are_evidence(option: str, outcome: RouteOutcome) -> None:
    (route,) = CADDY.lint(site("reverse_proxy app:80 {", option, "}")).routes
    assert route.outcome is outcome


def test_a_fix_changes_only_its_own_line() -> None:
    text = site("encode \\", " gzip", f"{CHAT} {{", "flush_interval \\", " 1s", "}")
    assert CADDY.codes_and_lines(text) == [("CAD102", 2), ("CAD201", 5)]
    assert CADDY.fix(text) == text
    tabs = CADDY.fix(site("\tencode gzip", CHAT))
    assert "\n\t\tmatch {\n\t\t\theader Content-Type text/html*\n" in tabs


@pytest.mark.parametrize(
    ("limit", "severity"),
    [
        ("11s", Severity.ERROR), ("0.25m", Severity.ERROR), ("20s", Severity.WARNING),
        ("30s", None), ("0", None), ("{$T}", None), ("", None),
    ],
)  # fmt: skip
def test_limits_are_compared_with_the_heartbeat(limit: str, severity: Severity | None) -> None:
    text = site(f"{CHAT} {{", "transport http {", f"read_timeout {limit}", "}", "}")
    found = CADDY.lint(text).diagnostics
    expected = [] if severity is None else [("CAD401", severity)]
    assert [(one.rule.code, one.severity) for one in found] == expected
    if found:
        assert CADDY.fix(text) == text.replace(limit, "1h")


@pytest.mark.parametrize(
    ("limit", "severity"),
    [("60s", Severity.ERROR), ("10m", Severity.WARNING), ("1h", None), ("1d", None)],
)
def test_a_total_limit_is_reported_if_a_route_streams(
    limit: str, severity: Severity | None
) -> None:
    options = f"{{\nadmin off\nservers {{\ntimeouts {{\nwrite {limit}\n}}\n}}\n}}\n"
    found = CADDY.lint(options + site(CHAT)).diagnostics
    expected = [] if severity is None else [("CAD402", severity)]
    assert [(one.rule.code, one.severity) for one in found] == expected
    unknown = CADDY.lint(options + site("reverse_proxy up")).diagnostics
    assert [one.severity for one in unknown] == [Severity.INFO] * bool(expected)
    assert all(one.message.startswith("if anything here streams: ") for one in unknown)
    assert CADDY.codes(CADDY.fix(options + site(CHAT))) == []


def test_durations_have_the_syntax_of_go() -> None:
    assert [duration_s(text) for text in ("1h30m", "100ms", "-1", "x", "2d")] == [
        5400, 0.1, None, None, 172800,
    ]  # fmt: skip


# Corpus, dialect detection, rendering, and damaged texts.


def test_routes_that_do_not_stream_have_no_findings() -> None:
    assert CADDY.corpus_faults("still-blog.caddyfile") == []
    assert CADDY.corpus_faults("still-simple.caddyfile") == []
    assert CADDY.corpus_findings("stream-webui.caddyfile") == [
        ("CAD102", 3), ("CAD201", 7), ("CAD202", 8), ("CAD401", 11),
    ]  # fmt: skip


def test_every_file_of_the_corpus_is_recognised() -> None:
    for text in CADDY.texts:
        assert recognise_dialect("-", text) is CADDY.dialect


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/etc/caddy/Caddyfile", "", True),
        ("a.conf", "reverse_proxy a:1\n", True),
        ("a.yaml", "reverse_proxy a:1\n", False),
        ("nginx.conf", "server { listen 80; }", False),
    ],
)
def test_caddy_is_recognised(path: str, text: str, expected: bool) -> None:
    assert CADDY.dialect.recognises(path, text) is expected


@pytest.mark.parametrize("listen", [":80", "127.0.0.1:80"])
@pytest.mark.parametrize("path", ["/", "/v1/", "chat"])
def test_rendered_configurations_have_no_findings(path: str, listen: str) -> None:
    request = RenderRequest(upstream="http://vllm:80", path=path, listen=listen)
    assert CADDY.codes(CADDY.dialect.render(request)) == []


def test_values_with_a_special_meaning_are_rejected() -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        CADDY.dialect.render(RenderRequest(upstream="http://a", path='/"'))


@pytest.mark.slow
@pytest.mark.parametrize("part", ["\\\n", '"', "`", "<<A\n", "#", "encode gzip\n", f"{CHAT}\n"])
def test_work_is_linear_in_the_length(part: str) -> None:
    def lint(n: int) -> None:
        assert robustness_faults(CADDY.dialect, f"{CHAT}\n{part * n}\n") == []
        recognise_dialect("-", part * n)

    assert_linear(lint, 128)


@pytest.mark.slow
@given(text=damaged_texts(CADDY.texts))
@settings(max_examples=50, deadline=None)
def test_damaged_text_gives_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(CADDY.dialect, text) == []


@pytest.mark.deep
@given(text=damaged_texts(CADDY.texts))
@settings(max_examples=10_000, deadline=None)
def test_ten_thousand_damaged_texts_give_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(CADDY.dialect, text) == []
