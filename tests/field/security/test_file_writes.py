"""File names in diffs are quoted as in git, and `fix` preserves the files that it writes."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from support.undam_command import invoke
from undam.textfiles.diff import file_diff, quoted_name

BAD = (
    "events{}\nhttp{ server{ location /v1/chat/completions {\n"
    "  proxy_pass http://m;\n  proxy_buffering on;\n  proxy_read_timeout 3600s;\n} } }\n"
)


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("a/nginx.conf", "a/nginx.conf"),
        ("a/x y.conf", "a/x y.conf\t"),
        ("a/x\n::set-output name=a::b\x1b[31m", '"a/x\\n::set-output name=a::b\\033[31m"'),
        ('a/"q"\\', '"a/\\"q\\"\\\\"'),
        ("a/ä", '"a/\\303\\244"'),
        ("a/\udcff", '"a/\\377"'),
        ("a/\x07\x08\x0b\x0c\r\t\x7f", '"a/\\a\\b\\v\\f\\r\\t\\177"'),
        ("a/\u202e", '"a/\\342\\200\\256"'),
    ],
)
def test_quoted_names(name: str, quoted: str) -> None:
    assert quoted_name(name) == quoted
    head = "".join(file_diff(name, "a\n", "b\n")).split("@@")[0]
    assert head.count("\n") == 2
    assert "\x1b" not in head


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "x y", "x\n::error::\x1b[31m", 'q"\\', "ä\u202e", "\t"])
def test_git_applies_the_diff_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / name / "nginx.conf"
    file.parent.mkdir()
    file.write_text(BAD)
    result = invoke("fix", ".")
    assert result.code == 1
    assert not any(line.startswith("::") for line in result.out.splitlines())
    assert "\x1b" not in result.out
    subprocess.run(
        ["git", "apply", "--unsafe-paths", "-"], input=result.raw, check=True, cwd=tmp_path,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
    )  # fmt: skip
    assert "proxy_buffering off;" in file.read_text()


def test_hard_links_and_modes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file, link = tmp_path / "nginx.conf", tmp_path / "other.name"
    file.write_text(BAD)
    file.chmod(0o640)
    link.hardlink_to(file)
    assert invoke("fix", "nginx.conf", "--write").code == 1
    assert file.stat().st_ino == link.stat().st_ino
    assert "proxy_buffering off;" in link.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize("linked", [False, True])
def test_a_read_only_file_is_written_only_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "nginx.conf"
    file.write_text(BAD)
    if linked:
        (tmp_path / "other.name").hardlink_to(file)
    file.chmod(0o444)
    result = invoke("fix", "nginx.conf", "--write")
    assert (result.code, file.read_text()) == (2, BAD)
    assert "is read-only; write it with --read-only" in result.err
    assert invoke("fix", "nginx.conf", "--write", "--read-only").code == 1
    assert "proxy_buffering off;" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o444


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write in every folder")
def test_a_file_in_a_folder_without_write_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "nginx.conf").write_text(BAD)
    folder.chmod(0o555)
    assert invoke("fix", "folder/nginx.conf", "--write").code == 1
    assert "proxy_buffering off;" in (folder / "nginx.conf").read_text()
