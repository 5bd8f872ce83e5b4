"""`undam fix`: a diff that other programs apply, or files that keep all but what is mended."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from support.undam_in_process import call
from undam.cli.commands.lint.fix_text import file_diff

BAD = """\
http {
    server {
        location /v1/ {
            proxy_pass http://127.0.0.1:9000;  # the model's
        }
    }
}
"""
MENDED = BAD.replace("model's\n", "model's\n            proxy_buffering off;\n")
GOOD = BAD.replace("proxy_pass", "proxy_buffering off;\n            proxy_pass")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def put(name: str, text: str | bytes) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


def text(name: str) -> str:
    return Path(name).read_bytes().decode()


def test_diff_is_printed_and_nothing_written() -> None:
    said = call("fix", put("nginx.conf", BAD))
    assert said.code == 1
    assert said.out.splitlines()[:2] == ["--- a/nginx.conf", "+++ b/nginx.conf"]
    assert "+            proxy_buffering off;" in said.out
    assert text("nginx.conf") == BAD


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
def test_patch_makes_of_the_diff_what_write_writes(before: bytes) -> None:
    name = put("conf/nginx.conf", before)
    diff = call("fix", name).raw
    patched = subprocess.run(
        ["git", "apply", "--unsafe-paths", "--whitespace=nowarn", "-"],
        input=diff.replace(b"conf/nginx.conf", b"copy"), capture_output=True, check=False,
    ) if Path("copy").write_bytes(before) else None  # fmt: skip
    assert patched is not None
    assert patched.returncode == 0, patched.stderr
    said = call("fix", name, "--write")
    assert (said.code, said.out) == (1, "mended conf/nginx.conf\n1 file mended\n")
    after = Path(name).read_bytes()
    assert after == Path("copy").read_bytes() != before
    # All that was there is there, in its order.
    left = iter(after)
    assert all(byte in left for byte in before)
    assert (b"\r\n" in before) == (b"\r\n" in after)
    assert after.count(b"\r") == (after.count(b"\n") if b"\r" in before else 0)


def test_second_run_finds_nothing() -> None:
    name = put("nginx.conf", BAD)
    assert call("fix", name, "--write").code == 1
    assert text(name) == MENDED
    said = call("fix", name, "--write")
    assert (said.code, said.out) == (0, "nothing to mend\n")
    assert call("fix", name).out == ""
    assert call("lint", name).code == 0


def test_unsafe_fixes_are_made_only_when_asked_for() -> None:
    bad = Path(__file__).parents[1] / "rules" / "ENV101" / "bad.yaml"
    name = put("envoy.yaml", bad.read_bytes())
    said = call("fix", name)
    assert (said.code, said.out) == (0, "")
    assert call("fix", name, "--write", "--unsafe").code == 1
    assert text(name) == bad.with_name("fixed.yaml").read_text()


def test_ignored_and_allowed_findings_stay() -> None:
    name = put("nginx.conf", BAD)
    assert call("fix", name, "--ignore", "NGX101").code == 0
    put("nginx.conf", BAD.replace("the model's", "undam: allow NGX101"))
    assert call("fix", name).code == 0


def test_mode_and_time_to_live_of_a_file() -> None:
    name = put("nginx.conf", BAD)
    Path(name).chmod(0o640)
    before = Path(name).stat()
    call("fix", name, "--write")
    after = Path(name).stat()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert [path.name for path in Path().iterdir()] == [
        "nginx.conf"
    ]  # nothing of its making is left


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owner_is_kept() -> None:
    name = put("nginx.conf", BAD)
    os.chown(name, 1234, 4321)
    call("fix", name, "--write")
    after = Path(name).stat()
    assert (after.st_uid, after.st_gid) == (1234, 4321)


def test_extended_attributes_are_kept() -> None:
    name = put("nginx.conf", BAD)
    try:
        os.setxattr(name, "user.undam", b"kept")
    except OSError:
        pytest.skip("this file system has none")
    call("fix", name, "--write")
    assert os.getxattr(name, "user.undam") == b"kept"


def test_link_stays_a_link_and_its_target_is_mended() -> None:
    put("available/app.conf", BAD)
    Path("enabled").mkdir()
    Path("enabled/app.conf").symlink_to("../available/app.conf")
    assert call("fix", "enabled", "--write").code == 1
    assert Path("enabled/app.conf").is_symlink()
    assert text("available/app.conf") == MENDED


def test_link_out_of_what_was_named_is_not_followed(tmp_path: Path) -> None:
    far = tmp_path / "far.conf"
    far.write_text(BAD)
    Path("nginx.conf").symlink_to(far)
    said = call("fix", "nginx.conf", "--write")
    assert said.code == 2
    assert said.err == (
        f"undam: nginx.conf: is a link to {far}, which was not named; name it to mend it\n"
    )
    assert far.read_text() == BAD
    assert call("fix", str(far), "--write").code == 1


def test_file_that_changed_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    name = put("nginx.conf", BAD)

    def late(path: str, before: str, after: str) -> list[str]:
        Path(path).write_text("new")
        return list(file_diff(path, before, after))

    monkeypatch.setattr("undam.cli.commands.lint.fix.file_diff", late)
    said = call("fix", name, "--write")
    assert (said.code, said.err) == (
        2, "undam: nginx.conf: has changed since it was read; run again\n"
    )  # fmt: skip
    assert text(name) == "new"


def test_failed_write_leaves_the_file_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    name = put("nginx.conf", BAD)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    said = call("fix", name, "--write")
    assert (said.code, said.err) == (
        2, "undam: nginx.conf: cannot be written (No space left on device)\n"
    )  # fmt: skip
    assert text(name) == BAD
    assert [path.name for path in Path().iterdir()] == ["nginx.conf"]


def test_included_file_is_mended_where_it_stands_and_once() -> None:
    put("nginx.conf", "http { include conf.d/*.conf; }\n")
    put("other/nginx.conf", "http { include ../conf.d/*.conf; }\n")
    put("conf.d/app.conf", "server { location /v1/ {\n  proxy_pass http://127.0.0.1:9000;\n} }\n")
    said = call("fix", ".", "--write")
    assert (said.code, said.out) == (1, "mended conf.d/app.conf\n1 file mended\n")
    assert text("conf.d/app.conf").count("proxy_buffering off;") == 1
    assert call("fix", ".").code == 0


def test_pipe_is_read_and_never_written() -> None:
    os.mkfifo("nginx.conf")
    threading.Thread(target=lambda: Path("nginx.conf").write_text(BAD), daemon=True).start()
    said = call("fix", "nginx.conf", "--write")
    assert (said.code, said.err) == (2, "undam: nginx.conf: is no regular file\n")


def test_broken_file_is_named_and_others_are_mended() -> None:
    put("a/nginx.conf", "http {\n")
    put("b/nginx.conf", BAD)
    said = call("fix", ".", "--write")
    assert said.code == 2
    assert said.err.startswith("undam: a/nginx.conf:1:1: ")
    assert (text("a/nginx.conf"), text("b/nginx.conf")) == ("http {\n", MENDED)


def test_standard_input_is_a_filter() -> None:
    assert call("fix", "-", stdin=BAD).out.startswith("--- a/stdin\n+++ b/stdin\n")
    said = call("fix", "-", "--write", stdin=BAD)
    assert (said.code, said.out) == (1, MENDED)
    again = call("fix", "-", "--write", stdin=MENDED)
    assert (again.code, again.out) == (0, MENDED)
    broken = call("fix", "-", "--write", stdin="http {\n")
    assert (broken.code, broken.out) == (2, "")


def test_json_says_what_changes() -> None:
    put("nginx.conf", BAD)
    put("good.conf", GOOD)
    (told,) = call("fix", ".", "--json").json["files"]
    assert (told["path"], told["dialect"], told["written"]) == ("nginx.conf", "nginx", False)
    assert told["diff"] == call("fix", ".").out
    said = call("fix", ".", "--write", "--json", "out.json")
    assert said.out == "mended nginx.conf\n1 file mended\n"
    (told,) = json.loads(Path("out.json").read_text())["files"]
    assert told["written"] is True


def test_json_before_a_path_never_writes_over_it() -> None:
    put("nginx.conf", BAD)
    assert call("fix", "--json", "nginx.conf").json["files"][0]["path"] == "nginx.conf"
    assert text("nginx.conf") == BAD
