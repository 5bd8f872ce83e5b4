"""`undam lint`: what it says, in which form, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.undam_in_process import call
from undam.errors import UsageError

BAD = """\
events {}
http {
    server {
        location /v1/ {
            proxy_pass http://127.0.0.1:9000;
        }
    }
}
"""
GOOD = BAD.replace("proxy_pass", "proxy_buffering off;\n            proxy_pass")
INFO = GOOD.replace("proxy_pass", "proxy_set_header X-Accel-Buffering no;\n            proxy_pass")
BROKEN = "events {}\nhttp {\n"
TEXT = """\
nginx.conf:5:13 NGX101 proxy-buffering-on: proxy_buffering is on and the upstream is spoken to in \
HTTP/1.0: the stream comes in blocks of 4 KB
    5 |             proxy_pass http://127.0.0.1:9000;
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = fix:
      +             proxy_buffering off;

1 finding in 1 file (1 error); undam fix fixes 1
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(name: str, text: str) -> str:
    """A file in the working directory."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, "utf-8", newline="")
    return name


def test_text_has_the_line_a_caret_the_fix_and_a_summary() -> None:
    said = call("lint", put("nginx.conf", BAD))
    assert (said.code, said.out, said.err) == (1, TEXT, "")


def test_caret_stands_under_the_word_behind_tabs_wide_and_odd_characters() -> None:
    odd = BAD.replace("            proxy_pass", "\t\t# \n\tset $a 表\x9b; proxy_pass")
    assert odd != BAD
    said = call("lint", put("nginx.conf", odd)).out
    _, line, marks, *_ = said.splitlines()
    assert line.endswith("    set $a 表\\x9b; proxy_pass http://127.0.0.1:9000;")
    # The wide character takes two cells.
    assert marks.index("^") == line.index("proxy_pass") + 1
    assert "\x9b" not in said


def test_of_a_very_long_line_the_part_around_the_word_is_shown() -> None:
    long = BAD.replace("proxy_pass", f"set $a {'x' * 5000}; proxy_pass").replace(
        "9000;", f"9000; set $b {'y' * 5000};"
    )
    said = call("lint", put("nginx.conf", long)).out
    assert max(map(len, said.splitlines())) < 200
    line, marks = said.splitlines()[1:3]
    assert line[marks.index("^") :].startswith("proxy_pass http")


def test_clean_and_info_exit_0() -> None:
    said = call("lint", put("nginx.conf", GOOD))
    assert (said.code, said.out) == (0, "no findings in 1 file\n")
    said = call("lint", put("nginx.conf", INFO))
    assert said.code == 0
    assert "1 info" in said.out


def test_syntax_error_is_named_with_its_place_and_others_are_linted() -> None:
    put("conf/broken/nginx.conf", BROKEN)
    put("conf/bad/nginx.conf", BAD)
    for form in ("text", "json", "sarif", "github"):
        said = call("lint", "conf", "--format", form)
        assert said.code == 2
        assert "NGX101" in said.out
        assert said.err.startswith("undam: conf/broken/nginx.conf:2:1: ")
        assert len(said.err.splitlines()) == 1


def test_missing_unknown_and_binary_files_are_named() -> None:
    put("notes", "just words\n")
    Path("picture").write_bytes(b"\0\1\2")
    said = call("lint", "gone.conf", "notes", "picture", put("nginx.conf", GOOD))
    assert said.code == 2
    assert said.out == "no findings in 1 file\n"
    assert said.err.splitlines() == [
        "undam: gone.conf: No such file or directory",
        "undam: notes: is not a configuration of a known dialect; specify it with --dialect",
        "undam: picture: is not text",
    ]
    quiet = call("lint", "notes", "picture", "nginx.conf", "--skip-unknown")
    assert (quiet.code, quiet.err) == (0, "")


def test_standard_input_is_read_once() -> None:
    said = call("lint", "-", stdin=BAD)
    assert said.code == 1
    assert said.out.startswith("-:5:13 NGX101 ")
    with pytest.raises(UsageError, match="only once"):
        call("lint", "-", "-", stdin=BAD)


def test_dialect_can_be_given() -> None:
    part = "location /v1/ { proxy_pass http://127.0.0.1:9000; }\n"
    name = put("part.inc", part)
    assert call("lint", name, "--dialect", "nginx").code == 1
    with pytest.raises(UsageError, match=r"there is no dialect 'ngnix'; known: .*nginx"):
        call("lint", name, "--dialect", "ngnix")


def test_dialect_takes_only_its_files_from_folders() -> None:
    put("a/nginx.conf", BAD)
    put("a/haproxy.cfg", "frontend a\n    bind :80\n")
    put("a/words", "words\n")
    assert call("lint", "a", "--dialect", "nginx", "--json").json["files"] == ["a/nginx.conf"]


def test_no_path_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="missing PATH"):
        call("lint")


def test_nothing_to_lint_is_said() -> None:
    Path("empty").mkdir()
    said = call("lint", "empty")
    assert (said.code, said.out) == (0, "no configuration of a known dialect\n")


def test_json_has_what_is_promised() -> None:
    said = call("lint", put("nginx.conf", BAD), "--format", "json")
    (one,) = said.json["findings"]
    assert said.json["schema"] == 1
    assert said.json["command"] == "lint"
    assert said.json["files"] == ["nginx.conf"]
    assert said.json["problems"] == said.json["unread"] == []
    assert one.pop("message").startswith("proxy_buffering is on")
    edit = one["fix"]["edits"][0]
    assert (edit["line"], edit["column"]) == (edit["end_line"], edit["end_column"])
    assert "proxy_buffering off;" in edit["text"]
    del one["fix"]["edits"]
    assert one == {
        "code": "NGX101",
        "slug": "proxy-buffering-on",
        "severity": "error",
        "path": "nginx.conf",
        "line": 5,
        "column": 13,
        "length": 32,
        "dialect": "nginx",
        "fix": {
            "where": "nginx",
            "text": "proxy_buffering off;",
            "safety": "safe",
            "diff": ["+            proxy_buffering off;"],
        },
    }
    assert call("lint", "nginx.conf", "--json").out == said.out


def test_fix_of_a_finding_that_no_edit_mends_is_null() -> None:
    rules = Path(__file__).parents[3] / "rules"
    (one,) = call("lint", str(rules / "ENV105" / "bad.yaml"), "--json").json["findings"]
    assert one["fix"] is None
    text = call("lint", str(rules / "ENV105" / "bad.yaml")).out
    assert "no automatic fix; see: undam explain ENV105" in text


def test_json_goes_to_a_file_beside_the_text() -> None:
    name = put("nginx.conf", BAD)
    for _ in range(2):  # a report of ours is written over
        assert call("lint", name, "--json", "out.json").out == TEXT
        assert json.loads(Path("out.json").read_text())["command"] == "lint"


@pytest.mark.parametrize(
    "args", [("--json", "nginx.conf"), ("--json", "nginx.conf", "b.conf"), ("--json", "a")]
)
def test_json_before_a_path_never_writes_over_it(args: tuple[str, ...]) -> None:
    put("nginx.conf", BAD)
    put("b.conf", GOOD)
    put("a/nginx.conf", BAD)
    said = call("lint", *args)
    assert said.codes == ["NGX101"]
    assert Path("nginx.conf").read_text() == BAD


def test_unwritable_json_is_told_before_the_run() -> None:
    with pytest.raises(UsageError, match="--json no/such"):
        call("lint", put("nginx.conf", BAD), "--json", "no/such")


def test_annotations_escape_what_parts_them() -> None:
    name = put("a,b:c%d\ne/nginx.conf", BAD)
    (line,) = call("lint", name, "--format", "github").out.splitlines()
    assert line.startswith(
        "::error file=a%2Cb%3Ac%25d%0Ae/nginx.conf,line=5,endLine=5,col=13,endColumn=45,"
        "title=NGX101 proxy-buffering-on::proxy_buffering is on"
    )


def test_annotations_of_info_and_of_a_broken_file() -> None:
    put("a/nginx.conf", INFO)
    put("b/nginx.conf", BROKEN)
    lines = call("lint", "a", "b", "--format", "github").out.splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == ["::notice", "::error"]
    assert lines[1].startswith(
        "::error file=b/nginx.conf,title=undam could not read this file,line=2,"
    )


def test_message_cannot_begin_a_command_of_its_own() -> None:
    evil = BAD.replace("http://127.0.0.1:9000", '"http://a\n::set-output name=x::y"')
    for form in ("github", "text"):
        out = call("lint", put("nginx.conf", evil), "--format", form).out
        assert not [line for line in out.splitlines() if line.startswith("::set")]


def test_names_and_lines_cannot_steer_a_terminal() -> None:
    evil = BAD.replace("9000", "9000\x1b]0;title\x07")
    said = call("lint", put("a\x1b[2J/nginx.conf", evil), put("b\x1b[2J.conf", BROKEN))
    assert "\x1b" not in said.out + said.err
    assert "\x07" not in said.out + said.err


def test_unread_parts_are_told() -> None:
    lua = BAD.replace("proxy_pass", "content_by_lua_block { a() }\n            proxy_pass")
    said = call("lint", put("nginx.conf", lua))
    assert "nginx.conf:5: not read: the Lua of content_by_lua_block\n" in said.out
    told = call("lint", "nginx.conf", "--json").json["unread"]
    assert told == [{"path": "nginx.conf", "line": 5, "what": "the Lua of content_by_lua_block"}]
