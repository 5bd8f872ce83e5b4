"""HAProxy rules, with configurations that are more complex than those in tests/rules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from support.dialect_harness import DialectHarness
from support.mutations import damaged_texts, robustness_faults
from support.work import assert_linear
from undam.errors import ConfigSyntaxError, UsageError
from undam.lint import RenderRequest, Source, recognise_dialect
from undam.lint.dialect import IncludeOpener
from undam.lint.dialects.haproxy.parser import read_config, seconds_of
from undam.rules import Severity

HAPROXY = DialectHarness("haproxy", "HAP")
MODE = "defaults\n  mode http\n"
ON = "  option http-no-delay\n"
SERVER = "  server a 10.0.0.1:80\n"


def listen(lines: str = "", name: str = "llm") -> str:
    return f"{MODE}listen {name}\n{lines}{SERVER}"


def routed(choice: str, name: str = "app") -> str:
    return f"{MODE}frontend f\n{choice}backend {name}\n{SERVER}"


# parsing


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a b  c # d", ["a", "b", "c"]),
        (r"a b\ c\#d \\", ["a", "b c#d", "\\"]),
        ("a 'b # \"c' \"d 'e\"", ["a", 'b # "c', "d 'e"]),
        (r'a "b\"c"d', ["a", r"b\"cd"]),
        ("a#b", ["a"]),
        ("a \\", ["a", "\n"]),
    ],
)
def test_words_are_split_as_haproxy_splits_them(line: str, words: list[str]) -> None:
    config = read_config(Source("f", f"global\n{line}\n"))
    assert list(config.sections[0].lines[0].texts) == words


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("mode http\n", 1, 1, "outside"),
        ("global\n  a 'b\n", 2, 5, "quote"),
        ('global\n  a "b\\"\n', 2, 5, "quote"),
        ("frontend\n", 1, 1, "needs a name"),
        ("backend from a\n", 1, 1, "needs a name"),
        ("backend a from b\n", 1, 1, "not name a defaults"),
    ],
)
def test_syntax_errors_have_a_position(text: str, line: int, column: int, what: str) -> None:
    with pytest.raises(ConfigSyntaxError, match=what) as error:
        HAPROXY.lint(text)
    assert (error.value.line, error.value.column) == (line, column)


def test_a_section_inherits_the_last_or_the_named_defaults() -> None:
    text = "defaults a\n mode http\n{}defaults b from a\n{}defaults c\nbackend llm from b\n"
    assert HAPROXY.codes(text.format("", "")) == ["HAP101"]
    assert HAPROXY.codes(text.format(ON, "")) == []
    assert HAPROXY.codes(text.format(ON, "  no option http-no-delay\n")) == ["HAP101"]
    assert HAPROXY.codes(text.format(ON, "  default option http-no-delay\n")) == ["HAP101"]
    assert HAPROXY.codes("defaults\n mode http\ndefaults\nbackend llm\n") == []


def test_unread_parts_are_reported() -> None:
    text = routed('.if feature(X)\n  use_backend %[var(x)]\n.endif\n  use_backend "" if a\n')
    found = HAPROXY.lint(text)
    assert [(one.line, one.what.split(":")[0]) for one in found.unread] == [
        (4, "a conditional block"),
        (5, "a backend that is computed at run time"),
    ]


# routes


@pytest.mark.parametrize(
    "choice",
    [
        "  use_backend app if { path_beg /v1/chat }\n",
        "  use_backend app if { path -i -m beg /v1/chat }\n",
        "  use_backend app if { path,lower -m reg ^/v1/chat }\n",
        "  use_backend app if { path_reg ^/(chat|sse)/ }\n",
        "  acl x path_sub chat/completions\n  use_backend app if x\n",
        "  acl x path_beg /a\n  acl x path_beg /sse\n  use_backend app if !y x\n",
        "  use_backend app if { req.hdr(accept) -m sub text/event-stream }\n",
        "  use_backend app if ! { path_beg /a } { path_beg /v1/chat -f more.lst }\n",
        "  use_backend app if { path_beg /v1/chat\n",
    ],
)
def test_routes_that_stream_are_found(choice: str) -> None:
    assert HAPROXY.codes(routed(choice)) == ["HAP101"]
    assert HAPROXY.codes(HAPROXY.fix(routed(choice))) == []


@pytest.mark.parametrize(
    "choice",
    [
        "",
        "  default_backend app\n",
        "  default_backend\n  use_backend\n",
        "  use_backend other if { path_beg /v1/chat }\n",
        "  use_backend app unless { path_beg /v1/chat }\n",
        "  use_backend app if !{ req.hdr(accept) -m sub text/event-stream }\n",
        "  use_backend app if { hdr(host) chat.example.org } or unknown\n",
        "  use_backend app if { path_beg /assets -m } !\n",
        "  mode tcp\n  use_backend app if { path_beg /v1/chat }\n",
    ],
)
def test_other_routes_have_no_findings(choice: str) -> None:
    assert HAPROXY.codes(routed(choice)) == []


def test_engines_are_recognised_by_name_and_server() -> None:
    assert HAPROXY.codes(routed("  default_backend vllm\n", "vllm")) == ["HAP101"]
    assert HAPROXY.codes(routed("", "vllm")) == ["HAP101"]
    assert HAPROXY.codes(f"{MODE}backend a\n  server-template x 1-4 ollama:11434\n") == ["HAP101"]
    assert HAPROXY.codes("listen vllm\n  server a llm:1\n") == []  # mode tcp


def test_user_paths_select_the_backend_that_serves_them() -> None:
    text = f"""{MODE}frontend f
  use_backend api if {{ path_beg /api/ }}
  use_backend part if {{ path_sub tell }}
  default_backend rest
backend api
backend part
backend rest
"""
    assert HAPROXY.codes_and_lines(text, stream_paths=("/x/tell",)) == [
        ("HAP101", 8),
        ("HAP101", 9),
    ]
    assert HAPROXY.codes_and_lines(text, stream_paths=("/api/x",)) == [("HAP101", 7)]
    assert HAPROXY.codes_and_lines(text, stream_paths=("/x", "/api/x")) == [
        ("HAP101", 7),
        ("HAP101", 9),
    ]


# rules


def test_one_side_with_the_option_is_enough() -> None:
    front = f"  use_backend app if {{ path_beg /v1/chat }}\n{ON}"
    assert HAPROXY.codes(routed(front)) == []


def test_a_disabled_option_is_enabled() -> None:
    text = listen("  no option http-no-delay # why?\n")
    assert HAPROXY.codes_and_lines(text) == [("HAP101", 4)]
    assert HAPROXY.fix(text) == text.replace("no option", "option")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_new_line_is_indented_like_its_neighbours(end: str) -> None:
    text = f"{MODE}backend vllm\n\tbalance first\n".replace("\n", end)
    assert HAPROXY.fix(text) == text.replace(f"vllm{end}", f"vllm{end}\toption http-no-delay{end}")
    assert HAPROXY.fix(f"{MODE}backend vllm") == f"{MODE}backend vllm\n    option http-no-delay"


@pytest.mark.parametrize(
    ("lines", "code", "after"),
    [
        ("compression algo gzip\n compression type text/event-stream\n", "HAP102", ""),
        (
            "compression algo gzip\n compression type a/b\n compression type text/event-stream\n",
            "HAP102",
            "compression algo gzip\n compression type a/b\n",
        ),
        ("compression algo gzip\n compression type a/b TEXT/Event-Stream\n", "HAP102", None),
        (
            "compression algo-res gzip\n compression type-res text/event-stream a/b\n",
            "HAP102",
            None,
        ),
        ("compression algo gzip\n compression type text/\n", "HAP103", None),
        ("compression algo identity\n", "", None),
        ("compression algo gzip\n http-request del-header Accept-Encoding\n", "", None),
        ("compression type text/event-stream\n", "", None),
    ],
)
def test_compression_is_reported_by_its_types(lines: str, code: str, after: str | None) -> None:
    text = listen(f"{ON} {lines}")
    assert HAPROXY.codes(text) == [code] * bool(code)
    result = HAPROXY.fix(text)
    assert HAPROXY.codes(result) == []
    if after is not None:
        assert result == listen(f"{ON}{' ' * bool(after)}{after}")


def test_types_are_added_to_the_streaming_section_only() -> None:
    text = f"{MODE}  compression algo gzip\nbackend vllm\n{ON}backend web\n"
    result = HAPROXY.fix(text)
    assert result.startswith(f"{MODE}  compression algo gzip\nbackend vllm\n{ON}  compression type")
    assert result.endswith("\nbackend web\n")


def test_compression_of_the_frontend_is_reported() -> None:
    front = "  use_backend app if { path_beg /v1/chat }\n  compression algo gzip\n"
    text = routed(f"{ON}{front}")
    assert HAPROXY.codes_and_lines(text) == [("HAP103", 6)]
    assert HAPROXY.codes(HAPROXY.fix(text)) == []


@pytest.mark.parametrize(
    ("rest", "fires", "is_fixed"),
    [
        ("", True, True),
        (" time 1s at-least 100k", True, True),
        (" time 1s at-least", True, True),
        (" time 1s at-least 64", False, True),
        (" time 1s if { status 200 }", True, True),
        (" time 1s if { status 200 } or { status 201 }", True, False),
        (" time 1s unless { status 500 }", True, True),
        (" time 1s if { res.hdr(content-type) -m sub text/event-stream }", True, True),
        (" time 1s if !{ res.hdr(content-type) text/event-stream }", False, True),
        (
            " time 1s unless { status 1 } or { res.hdr(content-type) text/event-stream }",
            False,
            True,
        ),
    ],
)
def test_conditions_of_awaited_bodies_are_evaluated(rest: str, fires: bool, is_fixed: bool) -> None:
    text = listen(f"{ON}  http-response wait-for-body{rest}\n")
    assert HAPROXY.codes(text) == ["HAP104"] * fires
    assert (HAPROXY.codes(HAPROXY.fix(text)) == []) is is_fixed


@pytest.mark.parametrize(
    ("time_", "seconds"),
    [
        ("50", 0.05), ("50000", 50), ("1500us", 0.0015), ("50ms", 0.05), ("2m", 120),
        ("1h", 3600), ("1d", 86400), ("0", None), ("x", None), ("", None), ("-1", None),
    ],
)  # fmt: skip
def test_times_are_parsed_as_haproxy_parses_them(time_: str, seconds: float | None) -> None:
    assert seconds_of(time_) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("limit", "severity"),
    [("10s", Severity.ERROR), ("20000", Severity.WARNING), ("30s", None), ("0", None), ("", None)],
)
def test_limits_are_compared_with_the_heartbeat(limit: str, severity: Severity | None) -> None:
    text = listen(f"{ON}  timeout server {limit}\n")
    found = HAPROXY.lint(text).diagnostics
    assert [one.severity for one in found] == [severity] * (severity is not None)
    if found:
        assert HAPROXY.fix(text) == text.replace(limit, "1h")


def test_a_limit_set_by_http_request_is_reported() -> None:
    text = listen(f"{ON}  http-request set-timeout server 5s\n")
    assert HAPROXY.codes(text) == ["HAP401"]
    assert HAPROXY.fix(text) == text.replace("5s", "1h")


def test_a_limit_of_defaults_is_fixed_in_each_streaming_section() -> None:
    sections = "".join(f"backend llm-{n}\n{ON}" for n in range(12))
    text = f"{MODE}  timeout server 5s\n{sections}backend web\n"
    result = HAPROXY.fix(text)
    assert result.count("  timeout server 1h\n") == 12
    assert HAPROXY.codes(result) == []


def test_a_tunnel_timeout_is_reported_only_if_it_is_longer() -> None:
    for tunnel, expected in (("1h", ["HAP201"]), ("40s", []), ("x", [])):
        lines = f"{ON}  timeout server 40s\n  timeout tunnel {tunnel}\n"
        assert HAPROXY.codes(listen(lines)) == expected


# Corpus, dialect detection, rendering, and damaged texts.


def test_routes_that_do_not_stream_have_no_findings() -> None:
    assert HAPROXY.corpus_faults("still-shop.cfg") == []
    assert HAPROXY.corpus_faults("still-databases.cfg") == []
    assert HAPROXY.corpus_findings("stream-vllm.cfg") == [("HAP201", 11), ("HAP101", 24)]


def test_every_file_of_the_corpus_is_recognised() -> None:
    for text in HAPROXY.texts:
        assert recognise_dialect("-", text) is HAPROXY.dialect


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/etc/haproxy/haproxy.cfg", "", True),
        ("x.cfg", "listen a\n  bind :80\n", True),
        ("setup.cfg", "[metadata]\n", False),
        ("default.vcl", "backend a {\n  .host = 1;\n}", False),
    ],
)
def test_haproxy_is_recognised(path: str, text: str, expected: bool) -> None:
    assert HAPROXY.dialect.recognises(path, text) is expected


@pytest.mark.parametrize("path", ["/", "/v1/"])
def test_rendered_configurations_have_no_findings(path: str) -> None:
    text = HAPROXY.dialect.render(RenderRequest(upstream="http://vllm", path=path))
    assert "server origin vllm:80\n" in text
    assert HAPROXY.codes(text) == []


def test_values_with_a_special_meaning_are_rejected() -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        HAPROXY.dialect.render(RenderRequest(upstream="http://a", path="/a b"))


@pytest.mark.slow
@pytest.mark.parametrize("part", ["a {", "'", '"', "\\", "#\n", "use_backend a if {\n", "\n"])
def test_work_is_linear_in_the_length(part: str) -> None:
    def lint(n: int) -> None:
        text = f"{MODE}frontend llm\n  use_backend a if {part * n}\n"
        assert robustness_faults(HAPROXY.dialect, text) == []
        recognise_dialect("-", f"listen {part * n}")

    assert_linear(lint, 256)


@pytest.mark.slow
@given(text=damaged_texts(HAPROXY.texts))
@settings(max_examples=50, deadline=None)
def test_damaged_text_gives_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(HAPROXY.dialect, text) == []


@pytest.mark.deep
@given(text=damaged_texts(HAPROXY.texts))
@settings(max_examples=10_000, deadline=None)
def test_ten_thousand_damaged_texts_give_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(HAPROXY.dialect, text) == []


# defaults in other files

OTHER_FILE = "frontend f\n  bind :80\n  default_backend vllm\nbackend vllm\n" + SERVER


def _open_files(**texts: str) -> IncludeOpener:
    """Return an opener for these files. A name with an asterisk matches all of them."""
    sources = [Source(name.replace("__", "."), text) for name, text in texts.items()]
    return lambda pattern: [one for one in sources if pattern in ("*.cfg", one.path)]


def test_the_nearest_defaults_of_an_earlier_file_apply() -> None:
    files = _open_files(
        a__cfg="defaults\n  mode tcp\n",
        b__cfg=MODE + "  timeout server 30s\n  retries 3\n",
        c__cfg="frontend\n",
        f=OTHER_FILE,
        z__cfg="defaults\n  mode tcp\n",
    )
    found = [one.rule.code for one in HAPROXY.lint(OTHER_FILE, files, heartbeat_s=20).diagnostics]
    assert found == ["HAP101", "HAP401"]


def test_without_any_defaults_the_mode_is_reported_as_unread() -> None:
    result = HAPROXY.lint(OTHER_FILE, _open_files(z__cfg="listen g\n  mode tcp\n"))
    assert [one.what for one in result.unread] == [
        "the defaults of frontend f: without them, its mode is tcp"
    ]
    stated = OTHER_FILE.replace("  bind", "  mode http\n  bind").replace(
        SERVER, f"  mode http\n{SERVER}"
    )
    assert HAPROXY.lint(stated).unread == ()
