"""Which files lint and fix read: in folders, through links, through includes, and each once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.undam_in_process import call
from undam.lint import includes as config_includes
from undam.lint.files import MAX_BYTES, find_candidates

pytestmark = pytest.mark.slow  # hundreds of streams, or of files

SERVER = "server { location /v1/ { proxy_pass http://127.0.0.1:9000; } }\n"
MAIN = "events {}\nhttp { include conf.d/*.conf; }\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def put(name: str, text: str) -> str:
    """A file below the working directory, or beside it."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, "utf-8", newline="")
    return name


def found(*paths: str, exclude: tuple[str, ...] = ()) -> list[str]:
    return [one.path for one in find_candidates(paths, exclude)[0]]


def places(*args: str) -> list[tuple[str, str]]:
    """Code and path of each finding."""
    return [(one["code"], one["path"]) for one in call("lint", *args, "--json").json["findings"]]


def test_folders_are_walked_without_what_is_no_configuration() -> None:
    for name in (
        "a/z.conf", "a/b.yaml", "a/.hidden.conf", "a/.git/config.conf", "a/.cache/x.conf",
        "a/node_modules/x.conf", "a/readme.md", "a/script.py", "a/Dockerfile", "a/LICENSE",
        "a/nginx/Makefile", "a/nginx/site",
    ):  # fmt: skip
        put(name, "x")
    wanted = ["a/.hidden.conf", "a/b.yaml", "a/z.conf", "a/nginx/site"]
    assert found("a") == wanted
    assert found("./a/", "a/z.conf") == wanted
    assert found("a/.cache", "a/readme.md") == ["a/.cache/x.conf", "a/readme.md"]
    assert found("a", exclude=("nginx/", "*.yaml", "a/z*")) == ["a/.hidden.conf"]
    assert found("a/nginx/site", exclude=("nginx",)) == found("a", exclude=("a",)) == []


def test_nothing_is_told_of_what_is_excluded_not_even_where_it_is_included() -> None:
    put("nginx.conf", MAIN)
    put("conf.d/app.conf", SERVER)
    assert places(".", "--exclude", "conf.d") == []
    assert call("fix", ".", "--write", "--exclude", "app.conf").code == 0
    assert Path("conf.d/app.conf").read_text() == SERVER


def test_name_that_is_no_unicode_has_no_finding_less() -> None:
    name = os.fsdecode(b"\xff.conf")
    put(name, SERVER)
    assert call("lint", ".").out.startswith("\\udcff.conf:1:26 NGX101 ")
    assert places(".") == [("NGX101", name)]
    (one,) = call("lint", ".", "--format", "sarif").json["runs"][0]["results"]
    place = one["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place["uri"] == "%FF.conf"
    assert call("fix", ".", "--write").code == 1


def test_links_are_followed_to_files_once_and_never_to_folders() -> None:
    put("sites-available/app", SERVER)
    Path("sites-enabled").mkdir()
    Path("sites-enabled/app").symlink_to("../sites-available/app")
    Path("sites-enabled/gone").symlink_to("nowhere")
    Path("sites-enabled/loop").symlink_to("loop")
    Path("sites-enabled/up").symlink_to("..")
    os.mkfifo("sites-enabled/pipe")
    assert found(".") == ["sites-available/app"]
    assert found("sites-enabled") == ["sites-enabled/app"]
    assert found("sites-enabled/up/sites-enabled") == ["sites-enabled/up/sites-enabled/app"]


def test_large_file_is_told_where_it_would_have_been_linted() -> None:
    put("a/nginx.conf", SERVER + "#" * MAX_BYTES)
    put("a/data.yaml", "x: " + "y" * MAX_BYTES)
    said = call("lint", "a")
    assert said.code == 0
    assert said.out.startswith(
        "a/nginx.conf:1: not read: the file, which is larger than 1 MB\n"
    )  # and nothing of data.yaml
    assert "data" not in said.out
    named = call("lint", "a/nginx.conf")
    assert (named.code, named.err) == (2, "undam: a/nginx.conf: is larger than 1 MB\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_unreadable_folder_is_told() -> None:
    put("a/nginx.conf", SERVER)
    Path("a").chmod(0)
    try:
        assert call("lint", "a").code == 2
    finally:
        Path("a").chmod(0o700)


def test_included_file_is_judged_where_it_is_in_force_and_once() -> None:
    put("nginx.conf", MAIN)
    put("conf.d/app.conf", SERVER)
    assert places(".") == [("NGX101", "conf.d/app.conf")]
    assert places("nginx.conf", "conf.d/app.conf") == [("NGX101", "conf.d/app.conf")]
    # What the includer sets holds there.
    put("nginx.conf", MAIN.replace("http {", "http { proxy_buffering off;"))
    assert places(".") == []
    assert places("conf.d") == [("NGX101", "conf.d/app.conf")]


def test_files_that_include_each_other_are_judged_once() -> None:
    put("a.conf", f"include b.conf;\n{SERVER}")
    put("b.conf", f"include a.conf;\n{SERVER}")
    assert places(".") == [("NGX101", "a.conf"), ("NGX101", "b.conf")]


def test_included_file_that_is_broken_is_told_once() -> None:
    put("nginx.conf", MAIN)
    put("conf.d/app.conf", SERVER + "server {")
    said = call("lint", ".")
    assert said.code == 2
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("undam: conf.d/app.conf:2:1: ")


@pytest.mark.parametrize(
    ("linted", "pattern", "file"),
    [
        ("nginx.conf", "snippets/a.conf", "snippets/a.conf"),
        ("sites-enabled/app", "snippets/a.conf", "snippets/a.conf"),  # from nginx.conf's folder
        ("nginx.conf", "/etc/nginx/snippets/a.conf", "snippets/a.conf"),
        ("sites-enabled/app", "/usr/local/nginx/conf/snippets/a.conf", "snippets/a.conf"),
        ("nginx.conf", "snippets/[a].conf", "snippets/a.conf"),
        ("nginx.conf", "snippets/*/*.conf", "snippets/a/a.conf"),
    ],
)
def test_where_an_include_is_looked_for(linted: str, pattern: str, file: str) -> None:
    # Not under the working directory: these are the places of the file itself.
    root = Path("../etc")
    put(str(root / "nginx.conf"), "events {}\n")
    put(str(root / linted), f"http {{ include {pattern}; }}\n")
    put(str(root / file), SERVER)
    (one,) = call("lint", str(root / linted), "--json").json["findings"]
    assert one["path"] == str((root / file).resolve())


def test_include_is_taken_from_the_nearest_place_alone() -> None:
    put("nginx.conf", "events {}\n")
    put("sites/app.conf", "http { include more/*.conf; }\n")
    put("sites/more/near.conf", SERVER)
    put("more/far.conf", SERVER)
    assert places("sites/app.conf") == [("NGX101", "sites/more/near.conf")]


def test_number_of_included_files_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_includes, "MAX_FILES", 20)
    for number in range(30):
        put(f"conf.d/{number}.conf", SERVER + "include conf.d/*.conf;\n")
    put("nginx.conf", MAIN)
    said = call("lint", "nginx.conf", "--json").json
    assert 0 < len(said["files"]) <= 21
    assert "which is one of too many included files" in {
        one["what"].partition(", ")[2] for one in said["unread"]
    }


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("../../secret.conf", "which lies outside the folders that may be read"),
        ("link.conf", "which lies outside the folders that may be read"),
        ("{outside}", "which lies outside the folders that may be read"),
        ("*/*/*/*.conf", "which has too many wildcards"),
        ("gone.conf", "which is not there"),
        ("large.conf", "which is no text, or larger than 1 MB"),
        ("binary.conf", "which is no text, or larger than 1 MB"),
    ],
)
def test_what_is_not_opened_is_told_by_the_line_that_includes_it(
    pattern: str, why: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.conf"
    secret.write_text("proxy_pass hunter2", "utf-8")
    pattern = pattern.format(outside=secret)
    put("a/nginx.conf", f"# include {pattern};\nhttp {{\n  include {pattern};\n}}\n")
    put("a/large.conf", "#" * (MAX_BYTES + 1))
    Path("a/binary.conf").write_bytes(b"\0")
    Path("a/link.conf").symlink_to(secret)
    said = call("lint", "a/nginx.conf", "--json")
    assert said.json["unread"] == [{"path": "a/nginx.conf", "line": 3, "what": f"{pattern}, {why}"}]
    assert "hunter2" not in said.out + said.err


def test_what_packages_bring_along_is_not_missed() -> None:
    put("nginx.conf", "http { include mime.types; include fastcgi_params; include x/*.conf; }\n")
    assert call("lint", "nginx.conf", "--json").json["unread"] == []


def test_named_folder_is_in_reach() -> None:
    put("../shared/a.conf", SERVER)
    put("../app/nginx.conf", "http { include ../shared/a.conf; }\n")
    assert places("../app/nginx.conf") == []
    wanted = str(Path("../shared/a.conf").resolve())
    assert ("NGX101", wanted) in [
        (c, str(Path(p).resolve())) for c, p in places("../app", "../shared")
    ]


def test_byte_order_mark_and_latin_1_are_read() -> None:
    Path("nginx.conf").write_bytes(b"\xef\xbb\xbf# \xe9\n" + SERVER.encode())
    (one,) = call("lint", "nginx.conf", "--json").json["findings"]
    assert (one["line"], one["column"]) == (2, 26)
