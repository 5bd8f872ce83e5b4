"""Varnish rules, with VCL that is more complex than that in tests/rules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from support.dialect_harness import DialectHarness, include_opener, with_heartbeats
from support.mutations import damaged_texts, robustness_faults
from support.work import assert_linear
from undam.errors import ConfigSyntaxError, UsageError
from undam.lint import RenderRequest, Source, fix_sources, recognise_dialect
from undam.lint.dialects.varnish.parser import MAX_BLOCKS, MAX_INCLUDES
from undam.rules import Severity

VARNISH = DialectHarness("varnish", "VRN")
LLM = 'backend vllm { .host = "10.0.0.1"; }\n'
WEB = 'backend web { .host = "10.0.0.2"; .port = "80"; }\n'
GZIP = "set beresp.do_gzip = true;"


def response(lines: str, first: str = LLM) -> str:
    return f"{first}sub vcl_backend_response {{\n    {lines}\n}}\n"


# parsing


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("sub a {\n  set b;\n", 1, 7, "not closed"),
        ("sub a {\n  set b\n}", 2, 3, "has no ;"),
        ("sub a {\n  if (b", 2, 6, "not closed"),
        ("sub a {\n  if (b; )", 2, 6, "not closed"),
        ("sub a {\n  if b {", 2, 6, r"\( expected"),
        ("sub a {\n  if (b) c", 2, 10, r"\{ expected"),
        ("sub", 1, 4, "ends before a name"),
        ("sub 1", 1, 5, "a name expected"),
        ("backend a { .b = 1; 2 }", 1, 21, "an attribute expected"),
        ("backend a { .probe = { .c = 1;", 1, 22, "not closed"),
        ("acl a { ", 1, 7, "not closed"),
        ("vcl 4.1", 1, 1, "has no ;"),
        ("backend a { .b =", 1, 16, "has no ;"),
        ("}", 1, 1, "unexpected"),
        ('set "a\n";', 1, 5, "is not closed"),
        ('set {"a', 1, 5, "is not closed"),
        ('set """a""', 1, 5, "is not closed"),
        ("/* a", 1, 1, "is not closed"),
        ("C{ a", 1, 1, "is not closed"),
        ("sub a { ? }", 1, 9, "not a token"),
        ("sub a " + "{" * (MAX_BLOCKS + 2), 1, 7, "deep"),
    ],
)
def test_syntax_errors_have_a_position(text: str, line: int, column: int, what: str) -> None:
    with pytest.raises(ConfigSyntaxError, match=what) as error:
        VARNISH.lint(text)
    assert (error.value.line, error.value.column) == (line, column)


def test_the_syntax_of_vcl_is_parsed() -> None:
    text = '''vcl 4.1; import std from "/x"; // a
probe p { .url = "/"; } /* } */ backend none_ none; C{ int a; }C
acl a { "10.0.0.0"/8; ! "b"; }
backend b { .host = "1.2.3.4"; .share = 1 + 2; .probe = { .url = "/"; }; .probe = p; }
sub vcl_recv { { ; } set req.x = {"a"b"} + """c"d""" + 1.5h; std.log("x"); if (!a.b && 1 >= 2) {} }
'''
    found = VARNISH.lint(text)
    assert (found.diagnostics, found.unread) == ((), ())


def test_included_files_are_parsed_and_fixed() -> None:
    inside = include_opener(a=response(GZIP, ""))
    text = f'{LLM}include "a";\n'
    found = VARNISH.lint(text, inside)
    assert [(one.path, one.line) for one in found.diagnostics] == [("a", 2)]
    changed = fix_sources(
        VARNISH.dialect, Source("f", text), with_heartbeats(), open_include=inside
    )
    assert list(changed) == ["a"]
    assert VARNISH.lint(text, include_opener(**changed)).diagnostics == ()


def test_unread_parts_are_reported() -> None:
    text = response('include "gone";\n if (beresp.status == 200) { set beresp.do_stream = false; }')
    assert [(one.line, one.what.split(":")[0]) for one in VARNISH.lint(text).unread] == [
        (3, "include gone"), (4, "beresp.do_stream"),
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 20])
def test_recursive_includes_terminate(times: int) -> None:
    found = VARNISH.lint('include "a";', include_opener(a='include "a";\n' * times))
    assert len(found.included) <= MAX_INCLUDES
    assert "include a" in found.unread[0].what


# Statements that apply to a stream.


def with_condition(condition: str) -> str:
    return response(f"if ({condition}) {{ {GZIP} }}")


@pytest.mark.parametrize(
    "text",
    [
        response(GZIP),
        response("set beresp.do_gzip = false;\n" + GZIP),
        with_condition('bereq.url ~ "^/v1/chat"'),
        with_condition('bereq.url == "/sse" || bereq.url ~ "^/x"'),
        with_condition('bereq.url !~ "^/static"'),
        with_condition('!(bereq.url ~ "^/static" || beresp.http.content-type ~ "image")'),
        with_condition('beresp.http.Content-Type ~ "text"'),
        with_condition('beresp.http.Content-Type ~ "^text/(html|event)"'),
        with_condition('beresp.http.content-type ~ "(?i)text|json"'),
        with_condition('beresp.http.content-type != "text/html"'),
        with_condition('bereq.http.host == "a" && bereq.method != "GET"'),
        response(f'if (bereq.url ~ "^/static") {{ }} else {{ {GZIP} }}'),
        response(f'if (beresp.status == 1) {{ }} elsif (bereq.url ~ "chat") {{ {GZIP} }}'),
        response(f'if (bereq.url ~ "x") {{ {GZIP} }} else if (bereq.url ~ "chat") {{ {GZIP} }}'),
        response(f'if (bereq.url ~ "/x") {{ return (deliver); }} {GZIP}'),
        response(f"call a; }} sub a {{ call b; }} sub b {{ {GZIP}"),
        response(GZIP, WEB + 'sub vcl_recv { if (req.url ~ "^/v1/chat") { return (pass); } }\n'),
        response(
            f'{GZIP} if (beresp.http.content-type ~ "event-stream") {{ set beresp.ttl = 0s; }}',
            WEB,
        ),
    ],
)
def test_statements_that_apply_to_streams_are_found(text: str) -> None:
    assert set(VARNISH.codes(text)) == {"VRN103"}
    assert VARNISH.codes(VARNISH.fix(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        response(GZIP, WEB),
        response(GZIP + " set beresp.do_gzip = false;"),
        response(f'{GZIP} if (bereq.url ~ "chat") {{ set beresp.do_gzip = false; }}'),
        response("set beresp.do_gzip = a.b(); set beresp.do_gzip = beresp.do_gzip;"),
        with_condition('bereq.url ~ "^/static"'),
        with_condition('bereq.url !~ "^/v1/chat"'),
        with_condition('beresp.http.Content-Type ~ "^text/(html|css)$"'),
        with_condition('beresp.http.Content-Type !~ "event-stream"'),
        with_condition('!(beresp.http.Content-Type ~ "text/event-stream")'),
        with_condition('beresp.http.Surrogate-Control ~ "ESI"'),
        with_condition("bereq.url"),
        response(f'if (bereq.url ~ "chat") {{ return (deliver); }} {GZIP}'),
        response(f'if (bereq.url ~ "chat") {{ }} else {{ {GZIP} }}'),
        response(GZIP, LLM + "sub vcl_recv { return (pipe); }\n"),
        response(GZIP, WEB + 'sub vcl_recv { if (req.url ~ "chat") { return (pipe); } }\n'),
        f"{LLM}sub vcl_deliver {{ {GZIP} }}",
        f"{LLM}sub never {{ {GZIP} }}",
        f"{LLM}sub a {{ call a; {GZIP} }}",
        "sub vcl_backend_response { call; set x = 1; }",
    ],
)
def test_other_statements_have_no_findings(text: str) -> None:
    assert VARNISH.codes(text) == []


def test_user_paths_select_the_streaming_routes() -> None:
    pipe = 'sub vcl_recv { if (req.url ~ "^/v1/chat") { return (pipe); } }\n'
    text = response(f'{GZIP}\n if (bereq.url ~ "^/ask") {{\n set beresp.do_esi = true; }}', WEB)
    assert VARNISH.codes_and_lines(text, stream_paths=("/ask",)) == [("VRN103", 3), ("VRN102", 5)]
    assert VARNISH.codes_and_lines(text, stream_paths=("/tell",)) == [("VRN103", 3)]
    assert VARNISH.codes_and_lines(pipe + text, stream_paths=("/v1/chat",)) == []
    assert VARNISH.codes_and_lines(pipe + text, stream_paths=("/v1/chat", "/x")) == [("VRN103", 4)]


# fixes


def test_on_a_separate_route_a_value_is_inverted() -> None:
    text = response('if (bereq.url ~ "^/v1/chat") { set beresp.do_stream = false; }')
    assert VARNISH.fix(text) == text.replace("false", "true")


@pytest.mark.parametrize(("indent", "step"), [("  ", "    "), ("\t", "\t")])
def test_on_a_shared_route_streams_are_excluded(indent: str, step: str) -> None:
    text = f"{LLM}sub vcl_backend_response {{\r\n{indent}set beresp.do_esi = true; # a\r\n}}"
    condition = 'if (beresp.http.Content-Type !~ "text/event-stream") {'
    fixed_text = VARNISH.fix(text)
    assert f"{{\r\n{indent}{condition}" in fixed_text
    assert f"{indent}{step}set beresp.do_esi = true;" in fixed_text
    assert fixed_text.endswith(f"{indent}}} # a\r\n}}")


# limits


def limited(attribute: str, more: str = "") -> str:
    return f'backend vllm {{ .host = "a"; {attribute} }}\n{more}'


@pytest.mark.parametrize(
    ("limit", "severity"),
    [
        ("10s", Severity.ERROR), ("20s", Severity.WARNING), ("1m", None), ("500ms", Severity.ERROR),
        ("0s", None), ("1.5h", None), ("x", None), ("20", Severity.WARNING),
    ],
)  # fmt: skip
def test_limits_are_compared_with_the_heartbeat(limit: str, severity: Severity | None) -> None:
    text = limited(f".between_bytes_timeout = {limit};")
    found = VARNISH.lint(text).diagnostics
    assert [one.severity for one in found] == [severity] * (severity is not None)
    assert VARNISH.fix(text) == (text.replace(limit, "3600s") if found else text)


def test_a_first_byte_limit_is_only_a_warning() -> None:
    (found,) = VARNISH.lint(limited(".first_byte_timeout = 1s;")).diagnostics
    assert (found.rule.code, found.severity) == ("VRN402", Severity.WARNING)


def test_a_limit_of_the_fetch_overrides_the_backend() -> None:
    fetch = "sub vcl_backend_fetch { set bereq.between_bytes_timeout = %s; }"
    assert VARNISH.codes(limited(".between_bytes_timeout = 5s;", fetch % "1h")) == []
    short = limited(".between_bytes_timeout = 1h;", fetch % "5s")
    assert VARNISH.codes_and_lines(short) == [("VRN401", 2)]
    assert VARNISH.fix(short) == short.replace("5s", "3600s")


def test_a_limit_that_is_set_too_late_is_reported() -> None:
    late = "sub vcl_backend_response { set bereq.first_byte_timeout = 1h; }"
    assert VARNISH.codes(limited("", late)) == ["VRN201"]
    assert VARNISH.codes(limited("", late).replace("vllm", "web")) == []


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('.host = "10.0.0.1";', ["VRN401", "VRN402"]),
        ('.path = "/run/vllm.sock";', ["VRN401", "VRN402"]),
        ('.port = "80";', []),
        ('.path = "/run/x"; .between_bytes_timeout = 1h; .first_byte_timeout = 1h;', []),
    ],
)
def test_the_default_limits_apply_to_tcp_and_unix_sockets(
    attributes: str, expected: list[str]
) -> None:
    found = VARNISH.codes(f"backend vllm {{ {attributes} }}\n", heartbeat_s=None)
    assert found == expected


TWO = """
backend web { .host = "a"; .between_bytes_timeout = 5s; }
backend engine { .host = "b"; .between_bytes_timeout = 5s; }
sub vcl_recv {
  if (req.url ~ "^/%s") { set req.backend_hint = engine; }
}
"""


def test_only_backends_of_streams_are_reported() -> None:
    assert VARNISH.codes_and_lines(TWO % "chat") == [("VRN401", 3)]
    assert VARNISH.codes_and_lines(TWO % "img") == []
    assert VARNISH.codes_and_lines((TWO % "img").replace("web", "llm")) == [("VRN401", 2)]
    assert VARNISH.codes_and_lines(TWO % "img", stream_paths=("/img",)) == [
        ("VRN401", 2),
        ("VRN401", 3),
    ]
    assert VARNISH.codes_and_lines(TWO % "img", stream_paths=("/x",)) == [("VRN401", 2)]
    named = (TWO % "img").replace("web", "default")
    assert VARNISH.codes_and_lines(named, stream_paths=("/x",)) == [("VRN401", 2)]


# Corpus, dialect detection, rendering, and damaged texts.


def test_routes_that_do_not_stream_have_no_findings() -> None:
    assert VARNISH.corpus_faults("still-wordpress.vcl") == []
    assert VARNISH.corpus_faults("still-api.vcl") == []
    assert VARNISH.corpus_findings("stream-chat.vcl") == [("VRN401", 10), ("VRN103", 25)]


def test_every_file_of_the_corpus_is_recognised() -> None:
    for text in VARNISH.texts:
        assert recognise_dialect("-", text) is VARNISH.dialect


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.VCL", "", True),
        ("-", "sub vcl_recv {\n}", True),
        ("x.conf", "server { }", False),
        ("a.yaml", "data: |\n  vcl 4.1;\n", False),
    ],
)
def test_vcl_is_recognised(path: str, text: str, expected: bool) -> None:
    assert VARNISH.dialect.recognises(path, text) is expected


@pytest.mark.parametrize("path", ["/", "/v1/", "chat.x"])
def test_rendered_configurations_have_no_findings(path: str) -> None:
    text = VARNISH.dialect.render(RenderRequest(upstream="http://vllm", path=path))
    assert '.host = "vllm";\n    .port = "80";' in text
    assert VARNISH.codes(text) == []


def test_values_with_a_special_meaning_are_rejected() -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        VARNISH.dialect.render(RenderRequest(upstream="http://a", path='/"'))


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [
        '"',
        '{" ',
        "C{ ",
        "/*",
        "(",
        "!(",
        'bereq.url ~ "chat" ||',
        "#\n",
        "call a; ",
        "elsif (a) { set b = c; } ",
    ],
)
def test_work_is_linear_in_the_length(part: str) -> None:
    def lint(n: int) -> None:
        for text in (part * n, response(f"if ({part * n}"), response(part * n)):
            assert robustness_faults(VARNISH.dialect, text) == []
        recognise_dialect("-", part * n)

    assert_linear(lint, 128)


@pytest.mark.slow
@given(text=damaged_texts(VARNISH.texts))
@settings(max_examples=50, deadline=None)
def test_damaged_text_gives_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(VARNISH.dialect, text) == []


@pytest.mark.deep
@given(text=damaged_texts(VARNISH.texts))
@settings(max_examples=10_000, deadline=None)
def test_ten_thousand_damaged_texts_give_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(VARNISH.dialect, text) == []
