"""Squid rules, with configurations that are more complex than those in tests/rules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from support.dialect_harness import DialectHarness, include_opener, with_heartbeats
from support.mutations import damaged_texts, robustness_faults
from support.work import assert_linear
from undam.errors import ConfigSyntaxError, UsageError
from undam.lint import RenderRequest, Source, fix_sources, recognise_dialect
from undam.lint.dialects.squid.parser import MAX_INCLUDES
from undam.rules import Severity

SQUID = DialectHarness("squid", "SQD")
PEER = "cache_peer 10.0.0.1 parent 80 0 originserver name=vllm\n"


# parsing


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("if a\n", 1, 1, "has no endif"),
        ("\nelse\n", 2, 1, "has no if"),
        ("endif\n", 1, 1, "has no if"),
        (' "a" b\n', 1, 2, "begin with a directive"),
    ],
)
def test_syntax_errors_have_a_position(text: str, line: int, column: int, what: str) -> None:
    with pytest.raises(ConfigSyntaxError, match=what) as error:
        SQUID.lint(text)
    assert (error.value.line, error.value.column) == (line, column)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_trailing_backslash_joins_lines(end: str) -> None:
    text = f"{PEER}read_timeout \\{end}  5 \\{end} seconds # a \\{end}\\{end}"
    (found,) = SQUID.lint(text).diagnostics
    assert (found.line, found.column, found.length) == (2, 1, len("read_timeout"))
    assert SQUID.fix(text) == f"{PEER}read_timeout \\{end}  1 hour # a \\{end}\\{end}"


def test_included_files_are_parsed_and_fixed() -> None:
    inside = include_opener(**{"a.conf": "read_timeout 5\n"})
    text = f'{PEER}include "a.conf" gone.conf\n'
    found = SQUID.lint(text, inside)
    assert [(one.path, one.line) for one in found.diagnostics] == [("a.conf", 1)]
    assert [one.what for one in found.unread] == ["include gone.conf"]
    source = Source("f", text)
    changed = fix_sources(
        SQUID.dialect, source, with_heartbeats(), unsafe=True, open_include=inside
    )
    assert changed == {"a.conf": "read_timeout 1 hour\n"}


@pytest.mark.parametrize("times", [1, 20])
def test_recursive_includes_terminate(times: int) -> None:
    found = SQUID.lint("include a", include_opener(a="include a\n" * times))
    assert len(found.included) <= MAX_INCLUDES
    assert found.unread[0].what == "include a"


def test_a_conditional_block_is_reported_and_read() -> None:
    found = SQUID.lint(f"{PEER}if 1 = 2\nread_timeout 5\nelse\nendif\n")
    assert [one.line for one in found.unread] == [2]
    assert [one.line for one in found.diagnostics] == [3]


# detection of streams


@pytest.mark.parametrize(
    "text",
    [
        PEER,
        "cache_peer llm.example.org parent 80 0\n",
        "cache_peer 10.0.0.1 parent 11434 0\n",
        "acl a urlpath_regex -i ^/img ^/v1/chat\n",
        "acl a url_regex ^/sse\n",
    ],
)
def test_a_service_that_streams_is_found(text: str) -> None:
    assert SQUID.codes(f"{text}read_timeout 5\n") == ["SQD401"]


@pytest.mark.parametrize(
    "text",
    [
        "http_port 3128\n",
        "cache_peer 10.0.0.1 parent 80 0 name=web\n",
        "cache_peer\nacl a\nacl a src 10.0.0.0/8\nacl b urlpath_regex ^/img\n",
    ],
)
def test_other_values_have_no_findings(text: str) -> None:
    assert SQUID.codes(f"{text}read_timeout 5\n") == []


def test_user_paths_select_the_streaming_routes() -> None:
    for first, expected in ((PEER, ["SQD401"]), ("http_port 1\n", ["SQD401"]), ("", [])):
        assert SQUID.codes(f"{first}read_timeout 5\n", stream_paths=("/x",)) == expected


# rules


@pytest.mark.parametrize(
    ("limit", "severity"),
    [
        ("10 seconds", Severity.ERROR), ("20", Severity.WARNING), ("1 minute", None),
        ("0.2 minutes", Severity.ERROR), ("500 milliseconds", Severity.ERROR), ("1 Day", None),
        ("0", None), ("5 x", None), ("x", None), ("1.2.3", None), ("1 fortnight", None),
    ],
)  # fmt: skip
def test_idle_limits_are_compared_with_the_heartbeat(limit: str, severity: Severity | None) -> None:
    text = f"{PEER}read_timeout 1\nread_timeout {limit} # a\n"
    found = SQUID.lint(text).diagnostics
    assert [one.severity for one in found] == [severity] * (severity is not None)
    if found:
        assert SQUID.fix(text) == f"{PEER}read_timeout 1\nread_timeout 1 hour # a\n"


@pytest.mark.parametrize(
    ("limit", "severity"),
    [
        ("30 seconds", Severity.ERROR), ("30 minutes", Severity.WARNING), ("1 hour", None),
        ("1 week", None), ("x", None),
    ],
)  # fmt: skip
def test_heartbeats_do_not_extend_a_lifetime(limit: str, severity: Severity | None) -> None:
    text = f"{PEER}client_lifetime {limit}\n"
    found = SQUID.lint(text, heartbeat_s=0.1).diagnostics
    assert [one.severity for one in found] == [severity] * (severity is not None)


@pytest.mark.parametrize(
    ("lines", "fires"),
    [
        ("delay_parameters 1 4000/4000", True),
        ("delay_parameters 1 -1/-1 8000/8000", True),
        ("delay_parameters 1 none", False),
        ("delay_parameters 1 -1/-1 64000/64000", False),
        ("delay_parameters 1 0/0", False),
        ("delay_parameters", False),
        ("delay_parameters 1 4000/4000\ndelay_access 1 deny a\ndelay_access 1 allow all", False),
        ("delay_parameters 1 4000/4000\ndelay_access 1 allow a\ndelay_access 1 deny all", True),
        ("delay_parameters 1 4000/4000\ndelay_access 1 deny", True),
    ],
)
def test_slow_pools_are_reported_unless_requests_are_excluded(lines: str, fires: bool) -> None:
    assert SQUID.codes(f"{PEER}{lines}\n") == ["SQD101"] * fires


@pytest.mark.parametrize(
    ("lines", "fires"),
    [
        ("reply_body_max_size 1 MB", True),
        ("reply_body_max_size 5000", True),
        ("reply_body_max_size 4 KB all", True),
        ("reply_body_max_size 64 MB", False),
        ("reply_body_max_size 0", False),
        ("reply_body_max_size none", False),
        ("reply_body_max_size none s\nreply_body_max_size 1 MB", False),
        ("reply_body_max_size 1 KB i\nreply_body_max_size 1 MB", True),
        ("reply_body_max_size 1 KB i", False),
        ("reply_body_max_size 1 KB s", True),
    ],
)
def test_the_first_size_limit_that_applies_to_streams_is_checked(lines: str, fires: bool) -> None:
    acls = "acl s urlpath_regex ^/v1/chat\nacl i src 10.0.0.0/8\nacl i urlpath_regex ^/img\n"
    assert SQUID.codes(f"{acls}{PEER}{lines}\n") == ["SQD403"] * fires


# Corpus, dialect detection, rendering, and damaged texts.


def test_routes_that_do_not_stream_have_no_findings() -> None:
    assert SQUID.corpus_faults("still-office.conf") == []
    assert SQUID.corpus_faults("still-wiki.conf") == []
    assert SQUID.corpus_findings("stream-llm.conf") == [("SQD402", 10)]


def test_every_file_of_the_corpus_is_recognised() -> None:
    for text in SQUID.texts:
        assert recognise_dialect("-", text) is SQUID.dialect


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/etc/squid/squid.conf", "", True),
        ("-", "http_port 3128\nhttp_access deny all\n", True),
        ("x.conf", "server { }", False),
    ],
)
def test_squid_is_recognised(path: str, text: str, expected: bool) -> None:
    assert SQUID.dialect.recognises(path, text) is expected


@pytest.mark.parametrize("path", ["/", "/v1/", "chat"])
def test_rendered_configurations_have_no_findings(path: str) -> None:
    text = SQUID.dialect.render(RenderRequest(upstream="http://vllm", path=path))
    assert "cache_peer vllm parent 80 0 " in text
    assert SQUID.codes(text) == []


def test_values_with_a_special_meaning_are_rejected() -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        SQUID.dialect.render(RenderRequest(upstream="http://a", path="/ #"))


@pytest.mark.slow
@pytest.mark.parametrize("part", ["\\\n", "a ", "a\n", "if a\n", "acl a urlpath_regex ^/v\n", "#"])
def test_work_is_linear_in_the_length(part: str) -> None:
    def lint(n: int) -> None:
        assert robustness_faults(SQUID.dialect, f"{PEER}{part * n}") == []
        recognise_dialect("-", part * n)

    assert_linear(lint, 128)


@pytest.mark.slow
@given(text=damaged_texts(SQUID.texts))
@settings(max_examples=50, deadline=None)
def test_damaged_text_gives_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(SQUID.dialect, text) == []


@pytest.mark.deep
@given(text=damaged_texts(SQUID.texts))
@settings(max_examples=10_000, deadline=None)
def test_ten_thousand_damaged_texts_give_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(SQUID.dialect, text) == []
