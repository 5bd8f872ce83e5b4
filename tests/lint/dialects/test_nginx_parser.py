"""nginx parser: words, blocks, includes, levels and inheritance."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import crossplane  # type: ignore[import-untyped]
import pytest

from support.work import assert_linear
from undam.errors import ConfigSyntaxError
from undam.lint import Source
from undam.lint.dialect import no_includes
from undam.lint.dialects.nginx.lexer import LUA, tokens
from undam.lint.dialects.nginx.parser import MAX_DEPTH, NginxDirective, read_tree
from undam.lint.dialects.nginx.scopes import NginxScope, read_configuration

HERE = Path(__file__).parents[1]
TEXTS = sorted(
    [*(HERE / "corpus" / "nginx").glob("*"), *(HERE.parent / "rules").glob("NGX*/*.conf")],
)


def words(text: str) -> list[str]:
    return [token.text for token in tokens(Source("f", text))]


def plain(directives: tuple[NginxDirective, ...]) -> list[Any]:
    """Return each directive's name, arguments and block, without positions."""
    return [
        [one.name, list(one.args), None if one.block is None else plain(one.block)]
        for one in directives
    ]


def scope_of(text: str, *names: str) -> NginxScope:
    scope = read_configuration(Source("f", text), no_includes).root
    for name in names:
        scope = next(child for child in scope.children if child.kind == name)
    return scope


# words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b;", ["a", "b", ";"]),
        ("\ufeffa\tb\r\n;", ["a", "b", ";"]),
        ("a#b c # d\n;", ["a#b", "c", ";"]),
        ("a 'b c' \"d;{\" ;", ["a", "b c", "d;{", ";"]),
        ("a b'c\"d};", ["a", "b'c\"d}", ";"]),
        ("a ${b}c $d{ }", ["a", "${b}c", "$d", "{", "}"]),
        (r"a b\;c \{ d\ e;", ["a", r"b\;c", r"\{", r"d\ e", ";"]),
        (r"a '\n\'\"\\' \.js$;", ["a", "\n'\"\\", r"\.js$", ";"]),
        ("if ($a = 'b') {}", ["if", "($a", "=", "b", ")", "{", "}"]),
        ("a\u00a0b;", ["a\u00a0b", ";"]),
        ("a\\", ["a\\"]),
        ("# only a comment", []),
    ],
)
def test_text_is_split_as_nginx_splits_it(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_tokens_have_positions() -> None:
    text = "a 'b c' {\n}"
    assert [text[t.start : t.end] for t in tokens(Source("f", text))] == ["a", "'b c'", "{", "}"]


@pytest.mark.parametrize(
    "lua",
    [
        "{ ngx.say('}') }",
        '{ local t = { a = { "}" } } }',
        "{ -- }\n }",
        "{ --[[ } ]] }",
        "{ --[==[ } ]] } ]==] }",
        "{ s = [=[ } ]=] }",
        "{ x = 'it\\'s }' }",
        "{ a = it's\n }",
    ],
)
def test_a_lua_block_is_one_token(lua: str) -> None:
    text = f"location / {{ set_by_lua_block $r {lua}\n proxy_pass http://x; }}"
    (location,) = read_tree(Source("f", text))
    assert location.block is not None
    block, passing = location.block
    assert (block.is_lua, block.block, block.args) == (True, (), ("$r",))
    assert passing.name == "proxy_pass"
    (token,) = (one for one in tokens(Source("f", text)) if one.kind == LUA)
    assert token.text == lua


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a 'b", (1, 3), "' is not closed"),
        ('a;\nb "c"d;', (2, 6), "unexpected 'd' after a quoted word"),
        ("content_by_lua_block { {", (1, 22), "Lua block is not closed"),
        ("content_by_lua_block { [[ }", (1, 22), "Lua block is not closed"),
        ("a }", (1, 3), "no ; between 'a' and }"),
        ("a; }", (1, 4), "no matching"),
        ("a; ;", (1, 4), "no directive before ';'"),
        ("{ }", (1, 1), "no directive before '{'"),
        ("a b", (1, 3), "neither ; nor { follows 'b'"),
        ("a;\n  b {\n c;\n", (2, 3), "this block is not closed"),
        ("a {" * (MAX_DEPTH + 1), (1, 3 * MAX_DEPTH + 3), "nested more than 64 levels deep"),
    ],
)
def test_invalid_syntax_is_rejected_with_its_position(
    text: str, place: tuple[int, int], words: str
) -> None:
    with pytest.raises(ConfigSyntaxError, match=words) as caught:
        read_tree(Source("f", text))
    assert (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_crossplane_parses_the_same(file: Path) -> None:
    parsed = crossplane.parse(str(file), single=True, check_ctx=False, check_args=False)
    assert parsed["status"] == "ok", parsed["errors"]

    def theirs(block: list[dict[str, Any]]) -> list[Any]:
        return [
            [one["directive"], one["args"], theirs(one["block"]) if "block" in one else None]
            for one in block
        ]

    def ours(directives: list[Any]) -> list[Any]:
        # crossplane removes the parentheses around the condition of `if`.
        return [
            [name, _without_parentheses(args) if name == "if" else args, block and ours(block)]
            if block is not None
            else [name, args, None]
            for name, args, block in directives
        ]

    read = ours(plain(read_tree(Source(str(file), file.read_text("utf-8")))))
    expected = theirs(parsed["config"][0]["parsed"])
    assert _normal(read) == _normal(expected)


def _without_parentheses(args: list[str]) -> list[str]:
    joined = [args[0].removeprefix("("), *args[1:]]
    joined[-1] = joined[-1].removesuffix(")")
    return [arg for arg in joined if arg]


def _normal(directives: list[Any]) -> list[Any]:
    """Remove differences in notation: escapes in quoted words, and empty blocks."""
    return [
        [name, [arg.replace("\n", "\\n") for arg in args], _normal(block) if block else block]
        for name, args, block in directives
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "part", "parts"),
    [
        ("", "a {" * 60 + "}" * 60, 50),
        ("'", "'", 20_000),
        ("", '"\\', 10_000),
        ("content_by_lua_block {", "[[", 10_000),
        ("content_by_lua_block {", '"\\', 10_000),
        ("content_by_lua_block {", "--[", 7_000),
        ("", "a ", 4_000),
        ("", "#", 20_000),
        ("\\", "\\", 20_000),
        ("", "location / { proxy_pass http://vllm; }", 200),
    ],
    ids=range(10),
)
def test_work_is_linear_in_the_length(start: str, part: str, parts: int) -> None:
    def read(n: int) -> None:
        with suppress(ConfigSyntaxError):
            read_configuration(Source("f", start + part * n), no_includes)

    assert_linear(read, parts)


# levels


INHERITANCE = """
proxy_buffering off;
add_header A 1;
add_header B 2;
server {
    gzip on;
    location / { add_header C 3; proxy_buffering $flag; gzip off; gzip OFF; }
    location /b { location /b/c { } }
}
"""


def test_a_simple_directive_applies_until_an_inner_level_overrides_it() -> None:
    inner = scope_of(INHERITANCE, "server", "location")
    assert not inner.is_on("proxy_buffering", default=True)
    assert inner.value("gzip", "") == "OFF"
    assert inner.value("proxy_cache", "off") == "off"
    nested = scope_of("http { " + INHERITANCE + "}", "http", "server")
    deepest = nested.children[1].children[0]
    assert (deepest.is_on("gzip", default=False), deepest.value("proxy_buffering", "")) == (
        True,
        "off",
    )


def test_additive_directives_are_inherited_by_levels_without_any() -> None:
    server = scope_of(INHERITANCE, "server")
    assert [one.value for one in server.in_force("add_header")] == ["A", "B"]
    assert [one.value for one in server.children[0].in_force("add_header")] == ["C"]
    assert server.names("add_header") == {"a", "1", "b", "2"}


def test_a_line_can_be_removed_if_no_outer_line_takes_effect() -> None:
    server = scope_of(INHERITANCE, "server")
    (only,) = server.children[0].own("add_header")
    assert not server.children[0].can_remove(only)
    (gzip,) = server.own("gzip")
    assert server.can_remove(gzip)
    root = scope_of(INHERITANCE)
    assert root.can_remove(root.own("add_header")[0])
    assert root.can_remove(root.own("proxy_buffering")[0])


# includes


def opened(**texts: str) -> Any:
    def open_include(pattern: str) -> list[Source]:
        prefix = pattern.removesuffix("*")
        return [
            Source(name, text)
            for name, text in texts.items()
            if name == pattern or (prefix != pattern and name.startswith(prefix))
        ]

    return open_include


def test_includes_are_expanded_in_place() -> None:
    text = "server { gzip off; include part*; gzip_vary on; include none; }"
    read = read_configuration(
        Source("f", text), opened(part1="gzip on;", part2="location /x { root /; }")
    )
    (server,) = read.root.children
    assert [one.name for one in server.directives] == ["gzip", "gzip", "location", "gzip_vary"]
    assert server.is_on("gzip", default=False)
    assert [one.path for one in read.included] == ["part1", "part2"]
    assert read.unread == ()


def test_files_that_include_each_other_are_read_once_and_reported() -> None:
    read = read_configuration(
        Source("f", "include a;"),
        opened(a="gzip on;\ninclude b;", b="include a;\ninclude f;", f=""),
    )
    assert [(one.path, one.line) for one in read.unread] == [("b", 1), ("b", 2)]
    assert "includes itself" in read.unread[0].what


@pytest.mark.slow
def test_multiplying_includes_terminate() -> None:
    files = {f"f{n}": f"include f{n + 1};" * 10 for n in range(40)}
    read = read_configuration(Source("f", "include f0;"), opened(**files))
    assert read.unread


def test_includes_that_nest_blocks_terminate() -> None:
    deep = "a {" * 50
    files = {f"f{n}": deep + f"include f{n + 1};" + "}" * 50 for n in range(30)}
    read = read_configuration(Source("f", "include f0;"), opened(**files))
    assert any("levels deep" in one.what for one in read.unread)


def test_an_included_file_with_a_syntax_error_is_unread() -> None:
    read = read_configuration(Source("f", "include part;"), opened(part="a;\n}"))
    (unread,) = read.unread
    assert (unread.path, unread.line) == ("f", 1)
    assert unread.what.startswith("part (part:2:1: ")
    assert read.root.unread_part == "include part"


def test_lua_is_reported_as_unread_and_other_protocols_are_skipped() -> None:
    text = "stream { server { proxy_pass x; } }\nhttp {\n access_by_lua_block { a() } }"
    read = read_configuration(Source("f", text), no_includes)
    assert [(one.line, one.what) for one in read.unread] == [
        (3, "the Lua code of access_by_lua_block")
    ]
    assert [child.kind for child in read.root.children] == ["http"]


# edits


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("l {\n\tb;\n}", "l {\n\tb;\n\tX;\n}"),
        ("l {\n  b; # why\n}", "l {\n  b; # why\n  X;\n}"),
        ("l {\r\n  b;\r\n}", "l {\r\n  b;\r\n  X;\r\n}"),
        ("l { b; }", "l { b; X; }"),
        ("l { b; # why\n}", "l { b; X; # why\n}"),
        ("l {\n  b; c;\n}", "l {\n  b; X; c;\n}"),
        ("l {\n  b; }", "l {\n  b; X; }"),
    ],
)
def test_a_directive_is_inserted_after_another(text: str, after: str) -> None:
    assert _edited(text, "insert_after") == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("l {\n\tb;\n}", "\n"),
        ("l {\n  a; b;\n}", "l {\n  a;\n}"),
        ("l { b; }", "l { }"),
        ("l {\n  b; # why\n}", "l {\n  # why\n}"),
        ("l {\r\n  b; \r\n}", "l {\r\n}"),
        ("l {\n  b\n  c;\n  d;\n}", "l {\n  d;\n}"),
    ],
)
def test_a_directive_is_removed_with_its_line(text: str, after: str) -> None:
    expected = "l {\n}" if after == "\n" else after
    assert _edited(text, "remove") == expected


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("l {\n\tb;\n}", "l {\n\tX;\n\tb;\n}"),
        ("  l {\n  }", "  l {\n      X;\n  }"),
        ("l { }", "l { X; }"),
        ("l { c; b;\n}", "l { X; c; b;\n}"),
    ],
)
def test_a_directive_is_inserted_into_a_block(text: str, after: str) -> None:
    (block,) = read_tree(Source("f", text))
    assert _applied(text, block.insert_inside("X;")) == after


def _edited(text: str, how: str) -> str:
    (block,) = read_tree(Source("f", text))
    assert block.block is not None
    (one,) = (inner for inner in block.block if inner.name == "b")
    return _applied(text, one.insert_after("X;") if how == "insert_after" else one.remove())


def _applied(text: str, edit: Any) -> str:
    return str(text[: edit.start] + edit.text + text[edit.end :])
