"""lighttpd rules, with configurations that are more complex than those in tests/rules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from support.dialect_harness import DialectHarness, include_opener, with_heartbeats
from support.mutations import damaged_texts, robustness_faults
from support.work import assert_linear
from undam.errors import ConfigSyntaxError, UsageError
from undam.lint import RenderRequest, Source, fix_sources, recognise_dialect
from undam.lint.dialects.lighttpd.parser import MAX_BLOCKS, MAX_INCLUDES
from undam.rules import Severity

LIGHTTPD = DialectHarness("lighttpd", "LTD")
STREAM = "server.stream-response-body = 1"


def relay(host: str = "10.0.0.1", port: int = 80, key: str = "", more: str = "") -> str:
    return f'proxy.server = ( "{key}" => (( "host" => "{host}", "port" => {port}{more} )) )'


CHAT = f'$HTTP["url"] =~ "^/v1/chat/" {{\n    {relay()}\n}}\n'


# parsing


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("a = 1\n}", 2, 1, "no matching"),
        ('$HTTP["a"] == "b" {', 1, 19, "not closed"),
        ('a = "b', 1, 5, "string is not closed"),
        ("a = ?", 1, 5, "unexpected character"),
        ('a = ( "b" => ( 1 )', 1, 5, r"\( is not closed"),
        ("a = ( { )", 1, 5, r"\( is not closed"),
        ("a = =", 1, 5, "a value expected"),
        ("a =", 1, 4, "ends before a value"),
        ("a", 1, 2, "ends before ="),
        ("a b", 1, 3, "= expected"),
        ("$HTTP x", 1, 7, r"\[ expected"),
        ("( )", 1, 1, "unexpected"),
        ('$HTTP["a"] == "b" {' * (MAX_BLOCKS + 1), 1, 1 + 19 * MAX_BLOCKS, "deep"),
    ],
)
def test_syntax_errors_have_a_position(text: str, line: int, column: int, what: str) -> None:
    with pytest.raises(ConfigSyntaxError, match=what) as error:
        LIGHTTPD.lint(text)
    assert (error.value.line, error.value.column) == (line, column)


@pytest.mark.parametrize(
    "text",
    [
        'server.name = "a" + var.b + "c" # d\nserver.x := 1',
        'a = ( "x", ( 1, "}" ) ) + ( )\n global { b = "" }',
        '$HTTP["a"] == "b" { a = 1 } else if $HTTP["a"] != "c" { a = 2 } elsif $X["y"] !~ "z" { }',
        '$HTTP["a"] == "b" { } else { c = enable }',
    ],
)
def test_the_syntax_of_lighttpd_is_parsed(text: str) -> None:
    assert LIGHTTPD.lint(text) == LIGHTTPD.lint("")


def test_includes_are_expanded_in_place() -> None:
    inside = include_opener(**{"a.conf": relay(), "b.conf": STREAM})
    text = '$HTTP["url"] =~ "^/v1/chat/" {\n    include "a.conf"\n}\n'
    found = LIGHTTPD.lint(text, inside)
    assert [(one.path, one.rule.code) for one in found.diagnostics] == [("a.conf", "LTD101")]
    assert [one.path for one in found.included] == ["a.conf"]
    changed = fix_sources(
        LIGHTTPD.dialect, Source("f", text), with_heartbeats(), open_include=inside
    )
    assert changed == {"a.conf": f"{relay()}\n{STREAM}"}
    assert LIGHTTPD.lint(f'include "b.conf"\n{text}', inside).diagnostics == ()


def test_a_limit_of_another_file_is_reported_at_the_route() -> None:
    inside = include_opener(limits="server.max-write-idle = 5")
    text = f'include "limits"\n{STREAM}\n{CHAT}'
    (found,) = LIGHTTPD.lint(text, inside).diagnostics
    assert (found.path, found.line, found.rule.code) == ("f", 4, "LTD401")


def test_unread_parts_are_reported() -> None:
    text = 'include_shell "cat x"\ninclude var.dir + "/x"\ninclude "gone.conf"\n'
    found = LIGHTTPD.lint(text).unread
    assert [(one.line, one.what) for one in found] == [
        (1, "include_shell cat x"), (2, "include var.dir + /x"), (3, "include gone.conf"),
    ]  # fmt: skip


@pytest.mark.parametrize("times", [1, 20])
def test_recursive_includes_terminate(times: int) -> None:
    found = LIGHTTPD.lint('include "a"', include_opener(a='include "a"\n' * times))
    assert len(found.included) <= MAX_INCLUDES
    assert "too many includes" in found.unread[0].what


# routes


@pytest.mark.parametrize(
    "text",
    [
        CHAT,
        relay(key="/v1/chat/"),
        relay("vllm"),
        relay(port=11434),
        'proxy.server = ( ( "host" => "llm" ) )',
        'proxy.server = ( "" => ( "vllm" => ( "host" => "10.0.0.1" ) ) )',
        f'$HTTP["request-uri"] =^ "/sse" {{ {relay()} }}',
        f'$HTTP["host"] == "a" {{ $HTTP["url"] == "/v1/chat" {{ {relay()} }} }}',
        f'$HTTP["url"] =$ "/stream" {{ fastcgi{relay()[5:]} }}',
        f'$HTTP["url"] =~ "^/x/" {{ }} else $HTTP["url"] =~ "/v1/chat$" {{ {relay()} }}',
        f"server.stream-response-body = 0\n{CHAT}",
        f'{CHAT}$HTTP["url"] =~ "^/other/" {{ {STREAM} }}',
        f'$HTTP["url"] =~ "^/x/" {{ }} else {{ {STREAM} }}\n{CHAT}'.replace(STREAM, "a = 1"),
    ],
)
def test_routes_that_stream_are_found(text: str) -> None:
    assert LIGHTTPD.codes(text) == ["LTD101"]
    assert LIGHTTPD.codes(LIGHTTPD.fix(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        relay(),
        relay(key=".php"),
        f'$HTTP["url"] !~ "^/v1/chat/" {{ {relay()} }}',
        f'$HTTP["url"] =~ "\\.(js|css)$" {{ {relay()} }}',
        'proxy.balance = "hash"\nproxy.server = ( )',
        f"{STREAM}\n{CHAT}",
        f"server.stream-response-body = var.x\n{CHAT}",
        f'server.stream-response-body = "2"\n{CHAT}',
        f"{CHAT.replace('proxy', f'{STREAM} proxy')}server.stream-response-body = 0\n",
        CHAT.replace("proxy", f"{STREAM}\n    proxy"),
        f'$HTTP["url"] =~ "^/v1/chat/" {{ {STREAM} }}\n{CHAT}',
        f'$HTTP["url"] =~ "^/v1/chat/now" {{ {STREAM} }}\n{CHAT}',
        f'{relay("vllm")}\n$HTTP["url"] =~ "chat" {{ {STREAM} }}',
        f'{relay("vllm")}\n$HTTP["host"] == "a" {{ {STREAM} }}',
        f'{CHAT}$HTTP["request-method"] == "POST" {{ {STREAM} }}',
    ],
)
def test_other_routes_have_no_findings(text: str) -> None:
    assert LIGHTTPD.codes(text) == []


@pytest.mark.parametrize(
    ("server", "severity"),
    [
        ('"host" => "10.0.0.1", "port" => 80', Severity.ERROR),
        ('"host" => "10.0.0.1", "port" => 80, "check-local" => "disable"', Severity.ERROR),
        ('"socket" => "/run/a.sock", "bin-environment" => ( "A" => "b" )', Severity.ERROR),
        ('"host" => "files", "port" => 80', Severity.INFO),
        ('"host" => "icecast", "port" => 80', None),
    ],
)
@pytest.mark.parametrize("kind", ["proxy", "fastcgi", "scgi"])
def test_the_names_of_options_are_not_evidence(
    kind: str, server: str, severity: Severity | None
) -> None:
    text = f'$HTTP["url"] =$ "/stream" {{ {kind}.server = ( "" => (( {server} )) ) }}'
    found = [one.severity for one in LIGHTTPD.lint(text).diagnostics]
    assert found == ([severity] if severity else [])


def test_user_paths_select_the_relay() -> None:
    other = CHAT.replace("/v1/chat", "/api").replace("80", "81")
    assert LIGHTTPD.codes_and_lines(CHAT + other, stream_paths=("/api/x",)) == [("LTD101", 5)]
    assert LIGHTTPD.codes_and_lines(relay(), stream_paths=("/api/x",)) == [("LTD101", 1)]
    ends = CHAT.replace('=~ "^/v1/chat/"', '=$ "/ask"')
    assert LIGHTTPD.codes_and_lines(ends, stream_paths=("/api/ask",)) == [("LTD101", 2)]
    assert LIGHTTPD.codes_and_lines(ends, stream_paths=("/api/tell",)) == []
    optional = CHAT.replace("chat/", "chats?/")
    assert LIGHTTPD.codes_and_lines(optional, stream_paths=("/v1/chat/x",)) == [("LTD101", 2)]
    part = CHAT.replace("^/v1/chat/", "^(/a|/b)")
    assert LIGHTTPD.codes_and_lines(part, stream_paths=("/b",)) == [("LTD101", 2)]


# Position of the fix.


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (CHAT, CHAT.replace("}\n", f"    {STREAM}\n}}\n")),
        (
            f'$HTTP["url"] =~ "^/v1/chat/" {{ {relay()} }}\n',
            f'$HTTP["url"] =~ "^/v1/chat/" {{ {STREAM}\n{relay()} }}\n',
        ),
        (f"  {relay('vllm')} # all\r\n", f"  {relay('vllm')} # all\r\n  {STREAM}\r\n"),
        (
            relay(key="/a.b/sse/"),
            f'{relay(key="/a.b/sse/")}\n$HTTP["url"] =~ "^/a\\.b/sse/" {{\n    {STREAM}\n}}',
        ),
        (
            f"server.stream-response-body = 0 # why?\n{relay('vllm')}\n",
            f"{STREAM} # why?\n{relay('vllm')}\n",
        ),
    ],
)
def test_a_fix_changes_only_the_streaming_route(text: str, after: str) -> None:
    assert LIGHTTPD.fix(text) == after
    assert LIGHTTPD.codes(after) == []


def test_a_limit_for_one_prefix_is_set_in_its_own_condition() -> None:
    text = f"{STREAM}\nserver.max-write-idle = 20\n{relay(key='/v1/chat')}\n"
    assert LIGHTTPD.codes_and_lines(text) == [("LTD401", 2)]
    fixed_text = LIGHTTPD.fix(text)
    assert (
        fixed_text == text + '$HTTP["url"] =~ "^/v1/chat" {\n    server.max-write-idle = 3600\n}\n'
    )
    assert LIGHTTPD.codes(fixed_text) == []


# rules


@pytest.mark.parametrize(
    ("limit", "severity"),
    [("11", Severity.ERROR), ('"20"', Severity.WARNING), ("30", None), ("0", None), ("x", None)],
)
def test_limits_are_compared_with_the_heartbeat(limit: str, severity: Severity | None) -> None:
    write = f"{STREAM}\n{CHAT}".replace("}\n", f"    server.max-write-idle = {limit}\n}}\n")
    read = f"{STREAM}\n{CHAT}".replace(" )) )", f', "read-timeout" => {limit} )) )')
    for text, code in ((write, "LTD401"), (read, "LTD402")):
        found = LIGHTTPD.lint(text).diagnostics
        wanted = [(code, severity)] * (severity is not None)
        assert [(one.rule.code, one.severity) for one in found] == wanted
        if found:
            assert LIGHTTPD.fix(text) == text.replace(limit.strip('"'), "3600") or '"' in limit


def test_the_x_accel_header_is_an_info() -> None:
    header = 'setenv.set-response-header = ( "X-Accel-Buffering" => "no", "A" => "b" )'
    assert LIGHTTPD.codes_and_lines(f"{STREAM}\n{header}\n{CHAT}") == [("LTD201", 2)]


# Corpus, dialect detection, rendering, and damaged texts.


def test_routes_that_do_not_stream_have_no_findings() -> None:
    assert LIGHTTPD.corpus_faults("still-php.conf") == []
    assert LIGHTTPD.corpus_faults("still-tools.conf") == []
    assert LIGHTTPD.corpus_findings("stream-ollama.conf") == [("LTD101", 9)]


def test_every_file_of_the_corpus_is_recognised() -> None:
    for text in LIGHTTPD.texts:
        assert recognise_dialect("-", text) is LIGHTTPD.dialect


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/etc/lighttpd/lighttpd.conf", "", True),
        ("10-proxy.conf", '$HTTP["url"] =~ "x" { }', True),
        ("x.toml", "server.port = 1", False),
        ("nginx.conf", "server { listen 80; }", False),
    ],
)
def test_lighttpd_is_recognised(path: str, text: str, expected: bool) -> None:
    assert LIGHTTPD.dialect.recognises(path, text) is expected


@pytest.mark.parametrize("path", ["/", "/v1/", "chat"])
def test_rendered_configurations_have_no_findings(path: str) -> None:
    text = LIGHTTPD.dialect.render(RenderRequest(upstream="http://vllm", path=path))
    assert '"host" => "vllm", "port" => 80' in text
    assert LIGHTTPD.codes(text) == []


def test_values_with_a_special_meaning_are_rejected() -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        LIGHTTPD.dialect.render(RenderRequest(upstream="http://a", path='/"'))


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", ['"', "(", "( 1 ) + ", "#\n", '$HTTP["url"] == "/v1/chat" { }\n', "a=1 "]
)
def test_work_is_linear_in_the_length(part: str) -> None:
    def lint(n: int) -> None:
        assert robustness_faults(LIGHTTPD.dialect, f"{CHAT}a = {part * n}\n") == []
        recognise_dialect("-", part * n)

    assert_linear(lint, 128)


@pytest.mark.slow
@given(text=damaged_texts(LIGHTTPD.texts))
@settings(max_examples=50, deadline=None)
def test_damaged_text_gives_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(LIGHTTPD.dialect, text) == []


@pytest.mark.deep
@given(text=damaged_texts(LIGHTTPD.texts))
@settings(max_examples=10_000, deadline=None)
def test_ten_thousand_damaged_texts_give_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(LIGHTTPD.dialect, text) == []
