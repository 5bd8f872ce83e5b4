"""`undam lint`: output formats, exit codes and error messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.config_files import write, write_settings
from support.undam_command import invoke
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
INVALID = "events {}\nhttp {\n"
TEXT = """\
nginx.conf:5:13 NGX101 proxy-buffering-on: proxy_buffering is on and nginx uses HTTP/1.0 \
to the upstream: the stream arrives in blocks of 4 KB
    5 |             proxy_pass http://127.0.0.1:9000;
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = fix:
      +             proxy_buffering off;

read 1 file (1 nginx): 1 route, 1 streaming, 0 possibly streaming, 0 unknown
1 finding in 1 file (1 error); 1 fixable with undam fix
"""


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_settings()


def test_text_shows_the_line_carets_the_fix_and_a_summary() -> None:
    result = invoke("lint", write("nginx.conf", BAD))
    assert (result.code, result.out, result.err) == (1, TEXT, "")


def test_carets_are_aligned_after_tabs_wide_and_escaped_characters() -> None:
    odd = BAD.replace("            proxy_pass", "\t\t# \n\tset $a 表\x9b; proxy_pass")
    assert odd != BAD
    out = invoke("lint", write("nginx.conf", odd)).out
    _, line, marks, *_ = out.splitlines()
    assert line.endswith("    set $a 表\\x9b; proxy_pass http://127.0.0.1:9000;")
    # The wide character takes up two terminal cells.
    assert marks.index("^") == line.index("proxy_pass") + 1
    assert "\x9b" not in out


def test_a_long_line_is_shortened_around_the_marked_text() -> None:
    long = BAD.replace("proxy_pass", f"set $a {'x' * 5000}; proxy_pass").replace(
        "9000;", f"9000; set $b {'y' * 5000};"
    )
    out = invoke("lint", write("nginx.conf", long)).out
    assert max(map(len, out.splitlines())) < 200
    line, marks = out.splitlines()[1:3]
    assert line[marks.index("^") :].startswith("proxy_pass http")


def test_the_exit_code_is_0_without_errors_and_warnings() -> None:
    result = invoke("lint", write("nginx.conf", GOOD))
    assert (result.code, result.out.splitlines()[-1]) == (0, "clean: no findings in 1 file")
    result = invoke("lint", write("nginx.conf", INFO))
    assert result.code == 0
    assert "1 info" in result.out


def test_a_syntax_error_is_reported_with_its_position_and_other_files_are_linted() -> None:
    write("conf/invalid/nginx.conf", INVALID)
    write("conf/bad/nginx.conf", BAD)
    for form in ("text", "json", "sarif", "github"):
        result = invoke("lint", "conf", "conf/invalid/nginx.conf", "--format", form)
        assert result.code == 1
        assert "line 2: this block is not closed" in result.out
        result = invoke("lint", "conf/invalid/nginx.conf", "conf", "--format", form)
        assert result.code == 2
        assert "NGX101" in result.out
        assert result.err.startswith("undam: conf/invalid/nginx.conf:2:1: ")
        assert len(result.err.splitlines()) == 1


def test_missing_unknown_and_binary_files_are_reported() -> None:
    write("notes", "plain text\n")
    Path("picture").write_bytes(b"\0\1\2")
    result = invoke("lint", "gone.conf", "notes", "picture", write("nginx.conf", GOOD))
    assert result.code == 2
    assert result.out.splitlines()[-1] == "clean: no findings in 1 file"
    assert result.err.splitlines() == [
        "undam: gone.conf: No such file or directory",
        "undam: notes: is not a configuration of a known dialect; specify it with --dialect",
        "undam: picture: is not text",
    ]
    skipped = invoke("lint", "notes", "picture", "nginx.conf", "--skip-unknown")
    assert (skipped.code, skipped.err) == (0, "")


def test_standard_input_is_linted_once() -> None:
    result = invoke("lint", "-", stdin=BAD)
    assert result.code == 1
    assert result.out.startswith("-:5:13 NGX101 ")
    with pytest.raises(UsageError, match="only once"):
        invoke("lint", "-", "-", stdin=BAD)


def test_the_dialect_of_a_named_file_can_be_set() -> None:
    text = "location /v1/ { proxy_pass http://127.0.0.1:9000; }\n"
    name = write("part.inc", text)
    assert invoke("lint", name, "--dialect", "nginx").code == 1
    with pytest.raises(UsageError, match=r"there is no dialect 'ngnix'; known: .*nginx"):
        invoke("lint", name, "--dialect", "ngnix")


def test_only_files_of_the_given_dialect_are_linted_in_folders() -> None:
    write("a/nginx.conf", BAD)
    write("a/haproxy.cfg", "frontend a\n    bind :80\n")
    write("a/words", "words\n")
    assert invoke("lint", "a", "--dialect", "nginx", "--json").json["files"] == [
        {"path": "a/nginx.conf", "dialect": "nginx", "read": True}
    ]


def test_a_missing_path_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="missing PATH"):
        invoke("lint")


def test_a_folder_without_configurations_is_reported() -> None:
    Path("empty").mkdir()
    result = invoke("lint", "empty")
    assert (result.code, result.out) == (0, "no configuration of a known dialect\n")


def test_json_has_the_documented_fields() -> None:
    result = invoke("lint", write("nginx.conf", BAD), "--format", "json")
    (one,) = result.json["findings"]
    assert result.json["schema"] == 1
    assert result.json["command"] == "lint"
    assert [one["path"] for one in result.json["files"]] == ["nginx.conf"]
    assert result.json["problems"] == result.json["unread"] == []
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
    assert invoke("lint", "nginx.conf", "--json").out == result.out


def test_a_finding_without_a_fix_has_null_in_json() -> None:
    rules = Path(__file__).parents[3] / "rules"
    (one,) = invoke("lint", str(rules / "ENV105" / "bad.yaml"), "--json").json["findings"]
    assert one["fix"] is None
    text = invoke("lint", str(rules / "ENV105" / "bad.yaml")).out
    assert "no automatic fix; see: undam explain ENV105" in text


def test_json_in_a_file_is_written_in_addition_to_the_text() -> None:
    name = write("nginx.conf", BAD)
    for _ in range(2):  # The earlier report is overwritten.
        assert invoke("lint", name, "--json", "out.json").out == TEXT
        assert json.loads(Path("out.json").read_text())["command"] == "lint"


@pytest.mark.parametrize(
    "args", [("--json", "nginx.conf"), ("--json", "nginx.conf", "b.conf"), ("--json", "a")]
)
def test_json_before_a_path_does_not_overwrite_the_file(args: tuple[str, ...]) -> None:
    write("nginx.conf", BAD)
    write("b.conf", GOOD)
    write("a/nginx.conf", BAD)
    result = invoke("lint", *args)
    assert result.codes == ["NGX101"]
    assert Path("nginx.conf").read_text() == BAD


def test_an_unwritable_json_file_is_reported_before_the_run() -> None:
    with pytest.raises(UsageError, match="--json no/such"):
        invoke("lint", write("nginx.conf", BAD), "--json", "no/such")


def test_annotations_escape_separators() -> None:
    name = write("a,b:c%d\ne/nginx.conf", BAD)
    (line,) = invoke("lint", name, "--format", "github").out.splitlines()
    assert line.startswith(
        "::error file=a%2Cb%3Ac%25d%0Ae/nginx.conf,line=5,endLine=5,col=13,endColumn=45,"
        "title=NGX101 proxy-buffering-on::proxy_buffering is on"
    )


def test_annotations_of_an_info_and_of_an_invalid_file() -> None:
    write("a/nginx.conf", INFO)
    write("b/nginx.conf", INVALID)
    lines = invoke("lint", "a", "b", "--format", "github").out.splitlines()
    assert lines[1] == (
        "::notice file=b/nginx.conf,title=undam did not read this file"
        "::not read: line 2: this block is not closed"
    )
    named = invoke("lint", "a", "b/nginx.conf", "--format", "github").out.splitlines()
    assert [line.split(" ", 1)[0] for line in named] == ["::notice", "::error"]
    assert named[1].startswith(
        "::error file=b/nginx.conf,title=undam could not read this file,line=2,"
    )


def test_a_message_cannot_inject_a_workflow_command() -> None:
    hostile = BAD.replace("http://127.0.0.1:9000", '"http://a\n::set-output name=x::y"')
    for form in ("github", "text"):
        out = invoke("lint", write("nginx.conf", hostile), "--format", form).out
        assert not [line for line in out.splitlines() if line.startswith("::set")]


def test_names_and_lines_cannot_control_the_terminal() -> None:
    hostile = BAD.replace("9000", "9000\x1b]0;title\x07")
    result = invoke("lint", write("a\x1b[2J/nginx.conf", hostile), write("b\x1b[2J.conf", INVALID))
    assert "\x1b" not in result.out + result.err
    assert "\x07" not in result.out + result.err


def test_unread_parts_are_reported() -> None:
    lua = BAD.replace("proxy_pass", "content_by_lua_block { a() }\n            proxy_pass")
    result = invoke("lint", write("nginx.conf", lua))
    assert "nginx.conf:5: not read: the Lua code of content_by_lua_block\n" in result.out
    unread = invoke("lint", "nginx.conf", "--json").json["unread"]
    what = "the Lua code of content_by_lua_block"
    assert unread == [{"path": "nginx.conf", "line": 5, "what": what}]
