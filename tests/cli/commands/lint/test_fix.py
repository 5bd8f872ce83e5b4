"""`undam fix`: diffs that patch tools can apply, and edits that change only the faulty lines."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

import undam.lint.runner
from support.config_files import write_settings
from support.undam_command import invoke
from undam.lint.files import FileText
from undam.lint.replace_file import replace_text

BAD = """\
http {
    server {
        location /v1/ {
            proxy_pass http://127.0.0.1:9000;  # the model's
        }
    }
}
"""
FIXED = BAD.replace("model's\n", "model's\n            proxy_buffering off;\n")
GOOD = BAD.replace("proxy_pass", "proxy_buffering off;\n            proxy_pass")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    write_settings()


def write(name: str, text: str | bytes) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


def content(name: str) -> str:
    return Path(name).read_bytes().decode()


def test_a_diff_is_printed_and_no_file_is_written() -> None:
    result = invoke("fix", write("nginx.conf", BAD))
    assert result.code == 1
    assert result.out.splitlines()[:2] == ["--- a/nginx.conf", "+++ b/nginx.conf"]
    assert "+            proxy_buffering off;" in result.out
    assert content("nginx.conf") == BAD


@pytest.mark.parametrize(
    "before",
    [
        BAD.encode(),
        BAD.replace("\n", "\r\n").encode(),
        BAD.encode().replace(b"model's", b"mod\xe8le's"),
        b"\xef\xbb\xbf" + BAD.encode(),
        BAD.rstrip("\n").encode(),
        b"location /v1/ { proxy_pass http://127.0.0.1:9000; }",
    ],
    ids=["plain", "CRLF", "Latin-1", "BOM", "no last line end", "one line"],
)
def test_the_applied_diff_equals_the_result_of_write(before: bytes) -> None:
    name = write("conf/nginx.conf", before)
    diff = invoke("fix", name).raw
    patched = subprocess.run(
        ["git", "apply", "--unsafe-paths", "--whitespace=nowarn", "-"],
        input=diff.replace(b"conf/nginx.conf", b"copy"), capture_output=True, check=False,
    ) if Path("copy").write_bytes(before) else None  # fmt: skip
    assert patched is not None
    assert patched.returncode == 0, patched.stderr
    result = invoke("fix", name, "--write")
    assert (result.code, result.out) == (1, "fixed conf/nginx.conf\n1 file fixed\n")
    after = Path(name).read_bytes()
    assert after == Path("copy").read_bytes() != before
    # Every byte of the original file is still present, in the same order.
    remaining = iter(after)
    assert all(byte in remaining for byte in before)
    assert (b"\r\n" in before) == (b"\r\n" in after)
    assert after.count(b"\r") == (after.count(b"\n") if b"\r" in before else 0)


def test_a_second_run_finds_nothing_to_fix() -> None:
    name = write("nginx.conf", BAD)
    assert invoke("fix", name, "--write").code == 1
    assert content(name) == FIXED
    result = invoke("fix", name, "--write")
    assert (result.code, result.out) == (0, "nothing to fix\n")
    assert invoke("fix", name).out == ""
    assert invoke("lint", name).code == 0


def test_unsafe_fixes_need_the_option() -> None:
    bad = Path(__file__).parents[3] / "rules" / "ENV101" / "bad.yaml"
    name = write("envoy.yaml", bad.read_bytes())
    result = invoke("fix", name)
    assert (result.code, result.out) == (0, "")
    assert invoke("fix", name, "--write", "--unsafe").code == 1
    assert content(name) == bad.with_name("fixed.yaml").read_text()


def test_ignored_and_suppressed_diagnostics_are_not_fixed() -> None:
    name = write("nginx.conf", BAD)
    assert invoke("fix", name, "--ignore", "NGX101").code == 0
    write("nginx.conf", BAD.replace("the model's", "undam: allow NGX101"))
    assert invoke("fix", name).code == 0


def test_mode_and_owner_are_preserved_without_a_temporary_file_left() -> None:
    name = write("nginx.conf", BAD)
    Path(name).chmod(0o640)
    before = Path(name).stat()
    invoke("fix", name, "--write")
    after = Path(name).stat()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert sorted(path.name for path in Path().iterdir()) == ["nginx.conf", "undam.toml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner of a file")
def test_a_foreign_owner_is_preserved() -> None:
    name = write("nginx.conf", BAD)
    os.chown(name, 1234, 4321)
    invoke("fix", name, "--write")
    after = Path(name).stat()
    assert (after.st_uid, after.st_gid) == (1234, 4321)


def test_extended_attributes_are_preserved() -> None:
    name = write("nginx.conf", BAD)
    try:
        os.setxattr(name, "user.undam", b"preserved")
    except OSError:
        pytest.skip("this file system does not support extended attributes")
    invoke("fix", name, "--write")
    assert os.getxattr(name, "user.undam") == b"preserved"


def test_a_link_stays_a_link_and_its_target_is_fixed() -> None:
    write("available/app.conf", BAD)
    Path("enabled").mkdir()
    Path("enabled/app.conf").symlink_to("../available/app.conf")
    assert invoke("fix", "enabled", "--write").code == 1
    assert Path("enabled/app.conf").is_symlink()
    assert content("available/app.conf") == FIXED


def test_a_link_target_outside_the_named_folders_is_not_written(tmp_path: Path) -> None:
    far = tmp_path / "far.conf"
    far.write_text(BAD)
    Path("nginx.conf").symlink_to(far)
    result = invoke("fix", "nginx.conf", "--write")
    assert result.code == 2
    assert result.err == f"undam: nginx.conf: is a link to {far}; pass that path to fix it\n"
    assert far.read_text() == BAD
    assert invoke("fix", str(far), "--write").code == 1


def test_a_file_that_changed_since_it_was_read_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = write("nginx.conf", BAD)

    def change_first(
        path: str, before: FileText, text: str, roots: Sequence[str], *, read_only: bool
    ) -> None:
        Path(path).write_text("new")
        replace_text(path, before, text, roots, read_only=read_only)

    monkeypatch.setattr(undam.lint.runner, "replace_text", change_first)
    result = invoke("fix", name, "--write")
    assert (result.code, result.err) == (
        2, "undam: nginx.conf: has changed since it was read; run again\n"
    )  # fmt: skip
    assert content(name) == "new"


def test_a_failed_write_leaves_the_file_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    name = write("nginx.conf", BAD)

    def disk_full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    result = invoke("fix", name, "--write")
    assert (result.code, result.err) == (
        2, "undam: nginx.conf: cannot be written (No space left on device)\n"
    )  # fmt: skip
    assert content(name) == BAD
    assert sorted(path.name for path in Path().iterdir()) == ["nginx.conf", "undam.toml"]


def test_an_included_file_is_fixed_once() -> None:
    write("nginx.conf", "http { include conf.d/*.conf; }\n")
    write("other/nginx.conf", "http { include ../conf.d/*.conf; }\n")
    write("conf.d/app.conf", "server { location /v1/ {\n  proxy_pass http://127.0.0.1:9000;\n} }\n")
    result = invoke("fix", ".", "--write")
    assert (result.code, result.out) == (1, "fixed conf.d/app.conf\n1 file fixed\n")
    assert content("conf.d/app.conf").count("proxy_buffering off;") == 1
    assert invoke("fix", ".").code == 0


def test_a_pipe_is_read_but_not_written() -> None:
    os.mkfifo("nginx.conf")
    threading.Thread(target=lambda: Path("nginx.conf").write_text(BAD), daemon=True).start()
    result = invoke("fix", "nginx.conf", "--write")
    assert (result.code, result.err) == (2, "undam: nginx.conf: is not a regular file\n")


def test_an_invalid_file_is_reported_and_the_others_are_fixed() -> None:
    write("a/nginx.conf", "http {\n")
    write("b/nginx.conf", BAD)
    result = invoke("fix", "a/nginx.conf", ".", "--write")
    assert result.code == 2
    assert result.err.startswith("undam: a/nginx.conf:1:1: ")
    assert (content("a/nginx.conf"), content("b/nginx.conf")) == ("http {\n", FIXED)


def test_standard_input_with_write_is_a_filter() -> None:
    assert invoke("fix", "-", stdin=BAD).out.startswith("--- a/stdin\n+++ b/stdin\n")
    result = invoke("fix", "-", "--write", stdin=BAD)
    assert (result.code, result.out) == (1, FIXED)
    unchanged = invoke("fix", "-", "--write", stdin=FIXED)
    assert (unchanged.code, unchanged.out) == (0, FIXED)
    invalid = invoke("fix", "-", "--write", stdin="http {\n")
    assert (invalid.code, invalid.out) == (2, "")


def test_json_lists_the_changed_files() -> None:
    write("nginx.conf", BAD)
    write("good.conf", GOOD)
    (file,) = invoke("fix", ".", "--json").json["files"]
    assert (file["path"], file["dialect"], file["written"]) == ("nginx.conf", "nginx", False)
    assert file["diff"] == invoke("fix", ".").out
    result = invoke("fix", ".", "--write", "--json", "out.json")
    assert result.out == "fixed nginx.conf\n1 file fixed\n"
    (file,) = json.loads(Path("out.json").read_text())["files"]
    assert file["written"] is True


def test_json_before_a_path_does_not_overwrite_the_file() -> None:
    write("nginx.conf", BAD)
    assert invoke("fix", "--json", "nginx.conf").json["files"][0]["path"] == "nginx.conf"
    assert content("nginx.conf") == BAD
