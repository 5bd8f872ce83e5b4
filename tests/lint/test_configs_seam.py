"""The seam of the dialects: texts with places, edits, routes, settings, comments, fixes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import undam.lint
from undam.errors import UsageError
from undam.lint import (
    DIALECTS,
    ConfigRule,
    Diagnostic,
    Dialect,
    Edit,
    IncludeOpener,
    LintResult,
    RenderRequest,
    Safety,
    Settings,
    Source,
    apply_edits,
    config_rules,
    dialect_named,
    fix_source,
    fix_sources,
    lint_source,
    read_settings,
    recognise_dialect,
)
from undam.lint.dialect import no_includes
from undam.lint.routes import RouteHints, StreamLikelihood, classify_route
from undam.lint.suppressions import suppressed_at
from undam.rules import Severity
from undam.textfiles.edits import choose_edits


def _rule(code: str, safety: Safety) -> ConfigRule:
    return ConfigRule(
        code=code,
        slug=f"{code.lower()}-word",
        severity=Severity.ERROR,
        message="m",
        what="w",
        why="y",
        detection="d",
        fix="f",
        source="s",
        safety=safety,
    )


# A dialect of words: each of these is a mistake, and what mends it.
FIXES = {
    "dam": (_rule("TST101", Safety.SAFE), "flow"),
    "wall": (_rule("TST102", Safety.UNSAFE), "gate"),
    "rock": (_rule("TST103", Safety.NONE), "sand"),
    "loop": (_rule("TST104", Safety.SAFE), "pool"),
    "pool": (_rule("TST105", Safety.SAFE), "loop"),
    "moor": (_rule("TST106", Safety.SAFE), "dam"),
    "calm": (_rule("TST107", Safety.SAFE), "calm"),
}


def _lint(source: Source, _settings: Settings, open_include: IncludeOpener) -> LintResult:
    included = [
        file
        for found in re.finditer(r"include (\S+)", source.text)
        for file in open_include(found[1])
    ]
    return LintResult(tuple(_mistakes(source, *included)), included=tuple(included))


def _mistakes(*sources: Source) -> list[Diagnostic]:
    out = []
    for source in sources:
        for word in re.finditer(r"[a-z]+", source.text):
            if word[0] in FIXES:
                rule, better = FIXES[word[0]]
                edit = Edit(word.start(), word.end(), better)
                place = source.position(word.start())
                out.append(
                    Diagnostic(rule, rule.severity, "m", source.path, *place, len(word[0]), (edit,))
                )
    return out[::-1]


WORDS = Dialect(
    name="words",
    title="Words",
    rules=tuple(rule for rule, _ in FIXES.values()),
    recognises=lambda path, _text: path.endswith(".words"),
    lint=_lint,
    render=lambda request: request.upstream,
)


def files(**texts: str) -> IncludeOpener:
    def open_include(pattern: str) -> list[Source]:
        return [Source(name, text) for name, text in texts.items() if name.startswith(pattern)]

    return open_include


# source


@given(st.text(alphabet="ab\n\r", max_size=30), st.integers(0, 40))
def test_a_place_is_where_the_character_stands(text: str, offset: int) -> None:
    line, column = Source("f", text).position(offset)
    before = text[:offset]
    assert (line, column) == (before.count("\n") + 1, len(before) - before.rfind("\n"))


def test_lines_come_without_their_ends() -> None:
    source = Source("f", "one\r\n  two\n")
    assert [source.line(number) for number in range(5)] == ["", "one", "  two", "", ""]
    assert source.line_span(6) == (5, 11)
    assert source.line_span(11) == (11, 11)
    assert source.indent_at(9) == "  "


def test_an_error_knows_its_place() -> None:
    error = Source("f.conf", "a\nbc").error("no", 3)
    assert (error.path, error.line, error.column) == ("f.conf", 2, 2)
    assert str(error) == "f.conf:2:2: no"


# edit


def test_edits_change_what_they_name() -> None:
    edits = [Edit(4, 7, "2"), Edit(0, 0, "> "), Edit(4, 7, "2"), Edit(5, 6, "lost")]
    assert apply_edits("one two", edits) == "> one 2"


def test_a_group_of_edits_is_made_whole_or_not_at_all() -> None:
    first = [Edit(2, 4, "x"), Edit(8, 8, "y")]
    into_the_first = [Edit(0, 0, "a"), Edit(3, 5, "b")]
    over_the_first = [Edit(1, 3, "c")]
    shares_one = [Edit(8, 8, "y"), Edit(9, 10, "z")]
    beside = [Edit(4, 4, "d"), Edit(8, 8, "w")]
    chosen = choose_edits([first, into_the_first, over_the_first, shares_one, beside])
    assert chosen == sorted({*first, *shares_one, *beside})


_EDITS = st.builds(
    lambda at, length, text: Edit(at, at + length, text),
    st.integers(0, 12),
    st.integers(0, 5),
    st.sampled_from("xyz"),
)


@given(st.lists(_EDITS, max_size=8))
def test_what_overlaps_with_nothing_chosen_is_chosen(edits: list[Edit]) -> None:
    by_hand: list[Edit] = []
    for new in edits:
        if not any(new.start < old.end and old.start < new.end for old in by_hand):
            by_hand.append(new)
    assert choose_edits([edit] for edit in edits) == sorted(set(by_hand))


# routes


@pytest.mark.parametrize(
    "path",
    [
        "/v1", "/v1/", "^/v1/", "~ ^/(openai|v1)/.*", "/api/chat", "/v1/chat/completions",
        "^/v1/(chat/)?completions", "/api/generate", "/sse", "/mcp/", "/events", "/Stream",
        "/event-stream", "/v1/messages", "/v1/responses*",
    ],
)  # fmt: skip
def test_paths_of_streaming_apis_are_known(path: str) -> None:
    assert classify_route(path, (), RouteHints()) is StreamLikelihood.LIKELY


@pytest.mark.parametrize(
    "path",
    ["/", "/static/", "/v1/embeddings", "/v1/users", "/v10/", "/chatter", "/upstream", "/prevents"],
)
def test_other_paths_are_not(path: str) -> None:
    assert classify_route(path, (), RouteHints()) is StreamLikelihood.NO


@pytest.mark.parametrize(
    "upstream",
    [
        "http://127.0.0.1:11434", "http://10.0.0.1:11434/v1", "ollama", "vllm-service:8000", "llm",
        "http://llm_backend", "tgi.default.svc", "litellm:4000", "LLMs", "my-llama-70b",
        "text-generation-inference", "http://api.openai.com",
    ],
)  # fmt: skip
def test_upstreams_that_are_engines_are_known(upstream: str) -> None:
    assert classify_route("/", ("web", upstream), RouteHints()) is StreamLikelihood.LIKELY


@pytest.mark.parametrize(
    "upstream",
    [
        "http://app:8000", "fulfillment:8080", "postgis", "enrollments", "127.0.0.1:114340",
        "http://[fd00:11434::1]:80", "nextgi",
    ],
)  # fmt: skip
def test_other_upstreams_are_not(upstream: str) -> None:
    assert classify_route("/", (upstream,), RouteHints()) is StreamLikelihood.NO


@pytest.mark.parametrize(
    ("path", "streams"),
    [
        ("/", True),
        ("/api", True),
        ("/api/", True),
        ("/api/*", True),
        ("/api/tell", True),
        ("/api/tell/more", True),
        ("/ap", False),
        ("/api/tel", False),
        ("/v1/chat/completions", False),
    ],
)
def test_paths_that_the_user_names_decide_alone(path: str, streams: bool) -> None:
    wanted = StreamLikelihood.CERTAIN if streams else StreamLikelihood.NO
    assert classify_route(path, ("vllm",), RouteHints(("/x", "/api/tell"))) is wanted


@pytest.mark.parametrize("path", ["/health", "/v1/models", "~* \\.(?:css|js)$", "/metrics", "/ui/"])
def test_what_else_an_engine_serves_is_still(path: str) -> None:
    assert classify_route(path, ("vllm:8000",), RouteHints()) is StreamLikelihood.NO
    assert classify_route(path, ("vllm:8000",), RouteHints((path,))) is StreamLikelihood.CERTAIN


# settings


def test_settings_choose_rules_by_code_beginning_and_slug() -> None:
    def is_enabled(**table: object) -> bool:
        settings = read_settings(table, where="undam.toml")
        return settings.is_enabled("NGX101", "held-in-blocks", "deploy/site.conf")

    assert is_enabled()
    assert is_enabled(select=["ngx1"])
    assert is_enabled(select=["HAP", "held-in-blocks"])
    assert not is_enabled(select=["NGX2"])
    assert not is_enabled(ignore=["NGX101"])
    assert not is_enabled(select=["NGX"], ignore=["Held-in-blocks"])
    assert not is_enabled(**{"per-file": {"deploy/*": ["NGX1"]}})
    assert is_enabled(**{"per-file": {"deploy/*": ["NGX2"], "other/*": ["NGX1"]}})


def test_settings_are_read_from_a_table() -> None:
    assert read_settings({}, where="undam.toml") == Settings()
    settings = read_settings({"stream": ["/api"], "heartbeat": 5}, where="undam.toml")
    assert settings.hints == RouteHints(("/api",))
    assert settings.heartbeat_s == 5.0


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"selekt": []}, "unknown setting 'selekt'; known: heartbeat, ignore, per-file"),
        ({"select": "NGX"}, "'select' must be a list of strings"),
        ({"ignore": [1]}, "'ignore' must be a list of strings"),
        ({"per-file": []}, "'per-file' must be a table"),
        ({"per-file": {"a": "NGX"}}, "'per-file.a' must be a list of strings"),
        ({"heartbeat": True}, "'heartbeat' must be a number"),
        ({"heartbeat": "15s"}, "'heartbeat' must be a number"),
        ({"heartbeat": 0}, "'heartbeat' must be a number"),
    ],
)
def test_a_wrong_setting_is_named(table: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"undam.toml: {words}")):
        read_settings(table, where="undam.toml")


# allow


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("dam # undam: allow TST101", {"tst101"}),
        ("# undam: allow TST101, dam-word\ndam", {"tst101", "dam-word"}),
        ("  // undam:allow tst101,x\ndam", {"tst101", "x"}),
        ("; undam: allow a because it is short\ndam", {"a"}),
        ("flow # undam: allow TST101\ndam", set()),
        ("# undam: allow TST101\n\ndam", set()),
        ("undam: allow TST101\ndam", set()),
        ("# undam: allow\ndam", set()),
    ],
)
def test_a_comment_allows_on_its_line_or_the_next(text: str, names: set[str]) -> None:
    assert suppressed_at(Source("f", text), text.count("\n") + 1) == names


@pytest.mark.parametrize("name", ["TST101", "tst101", "tst101-WORD"])
def test_an_allowed_finding_is_taken_back(name: str) -> None:
    source = Source("f", f"# undam: allow {name}\ndam\ndam")
    (left,) = lint_source(WORDS, source, Settings()).diagnostics
    assert left.line == 3
    assert fix_source(WORDS, source, Settings()) == f"# undam: allow {name}\ndam\nflow"


# lint


def test_findings_come_in_the_order_of_the_text_own_file_first() -> None:
    source = Source("m", "include a\ninclude b\nwall dam")
    found = lint_source(WORDS, source, Settings(), files(b="dam", a="rock\ndam # undam: allow TST"))
    places = [(one.path, one.line, one.column) for one in found.diagnostics]
    assert places == [("m", 3, 1), ("m", 3, 6), ("a", 1, 1), ("a", 2, 1), ("b", 1, 1)]


def test_comments_in_included_files_count() -> None:
    opened = files(a="# undam: allow TST101\ndam\nwall")
    found = lint_source(WORDS, Source("m", "include a"), Settings(), opened)
    assert [one.rule.code for one in found.diagnostics] == ["TST102"]


def test_settings_take_findings_out_by_file() -> None:
    settings = Settings(per_file={"a": ("TST101",)}, ignore=("TST102",))
    found = lint_source(WORDS, Source("m", "dam wall include a"), settings, files(a="dam rock"))
    assert [(one.path, one.rule.code) for one in found.diagnostics] == [
        ("m", "TST101"),
        ("a", "TST103"),
    ]


def test_only_safe_fixes_are_made_unless_asked() -> None:
    source = Source("m", "dam wall rock # dam")
    assert fix_source(WORDS, source, Settings()) == "flow wall rock # flow"
    assert fix_source(WORDS, source, Settings(), unsafe=True) == "flow gate rock # flow"
    assert fix_source(WORDS, Source("m", "clean"), Settings()) == "clean"


def test_a_fix_that_uncovers_a_mistake_is_followed_by_another() -> None:
    assert fix_source(WORDS, Source("m", "moor"), Settings()) == "flow"


def test_fixes_that_undo_each_other_come_to_an_end() -> None:
    assert fix_source(WORDS, Source("m", "loop"), Settings()) == "loop"
    assert fix_sources(WORDS, Source("m", "calm"), Settings()) == {}


def test_included_files_are_fixed_where_they_stand() -> None:
    opened = files(a="moor # dam", b="flow", c="dam")
    source = Source("m", "dam\ninclude a\ninclude b")
    changed = fix_sources(WORDS, source, Settings(), open_include=opened)
    assert changed == {"m": "flow\ninclude a\ninclude b", "a": "flow # flow"}
    assert fix_source(WORDS, source, Settings(), open_include=opened) == changed["m"]
    clean = Source("m", "include a")
    assert fix_source(WORDS, clean, Settings(), open_include=opened) == clean.text


# registry and dialect


def test_text_that_stands_alone_includes_nothing() -> None:
    assert no_includes("/etc/nginx/*.conf") == []


def test_a_request_to_render_has_an_answer_without_more() -> None:
    assert WORDS.render(RenderRequest(upstream="http://127.0.0.1:9000")) == "http://127.0.0.1:9000"


def test_dialects_are_found_by_name_and_by_text(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(WORDS, name="other", recognises=lambda _path, _text: True)
    monkeypatch.setattr("undam.lint.registry.DIALECTS", (WORDS, other))
    assert dialect_named("other") is other
    with pytest.raises(UsageError, match="there is no dialect"):
        dialect_named("none")
    assert recognise_dialect("a.words", "") is WORDS
    assert recognise_dialect("a.txt", "") is other
    assert config_rules() == (*WORDS.rules, *other.rules)
    monkeypatch.setattr("undam.lint.registry.DIALECTS", (WORDS,))
    assert recognise_dialect("a.txt", "") is None


def test_every_folder_is_registered() -> None:
    room = Path(undam.lint.__file__).parent
    folders = {path.parent.name for path in room.glob("dialects/*/__init__.py")}
    assert folders == {dialect.name.replace("-", "_") for dialect in DIALECTS}


def test_names_are_used_once() -> None:
    names = [dialect.name for dialect in DIALECTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "text", ["", "\n", "hello world", "\0", "key: value\n", "{}", "[a]\nb = 1"]
)
def test_a_text_of_no_dialect_is_recognised_by_none(text: str) -> None:
    assert recognise_dialect("notes.txt", text) is None


recognisers = pytest.mark.parametrize(
    "recognises", [dialect.recognises for dialect in DIALECTS], ids=lambda _: "dialect"
)


@recognisers
@given(text=st.text(max_size=50))
def test_recognising_never_fails(recognises: Callable[[str, str], bool], text: str) -> None:
    assert recognises("-", text) in {True, False}
