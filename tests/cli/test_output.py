"""Output files are written atomically, and untrusted text cannot control a terminal."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.cli.commands.check.arguments import url_and_json
from undam.cli.ui.output import STDOUT, require_writable, write_atomically, write_json
from undam.cli.ui.sanitize import one_line, sanitize
from undam.errors import UsageError


def test_file_is_written_with_the_mode_of_the_umask(tmp_path: Path) -> None:
    target = tmp_path / "a"
    before = os.umask(0o027)
    try:
        write_atomically(str(target), ["x\n", "y\n"])
    finally:
        os.umask(before)
    assert target.read_text() == "x\ny\n"
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt, OSError])
def test_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, fault: type[BaseException]
) -> None:
    target = tmp_path / "a"
    target.write_text("old")

    def lines() -> Iterator[str]:
        yield "new"
        raise fault(28, "No space left on device")

    with pytest.raises(UsageError if fault is OSError else fault) as raised:
        write_atomically(str(target), lines())
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    if fault is OSError:
        assert str(raised.value) == f"cannot write {target}: No space left on device"


def test_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "far" / "a", tmp_path / "link"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    write_atomically(str(link), ["new"])
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_pipe_and_device_are_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    require_writable(str(pipe), "--json")
    write_atomically(str(pipe), ["through"])
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


def test_what_cannot_be_written_is_told_beforehand(tmp_path: Path) -> None:
    require_writable(str(tmp_path / "new"), "--json")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for path, why in [
        (tmp_path, "the path is a directory"),
        (tmp_path / "no" / "x", "No such file"),
        (tmp_path / "file" / "x", "Not a directory"),
        (Path("/proc/x"), "cannot be written"),
        ("a\0b", "cannot be written"),
    ]:
        with pytest.raises(UsageError, match=why):
            require_writable(str(path), "--json")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_directory_is_told_beforehand(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="Permission denied"):
        require_writable(str(tmp_path / "x"), "--record")


@pytest.mark.parametrize(
    ("url", "json_to", "wanted"),
    [
        ("http://h", None, ("http://h", None)),
        ("http://h", "f.json", ("http://h", "f.json")),
        ("http://h", STDOUT, ("http://h", STDOUT)),
        (None, "http://h", ("http://h", STDOUT)),
        (None, "localhost:80/v1", ("localhost:80/v1", STDOUT)),
        (None, "10.0.0.1:80", ("10.0.0.1:80", STDOUT)),
        (None, "[::1]:80/", ("[::1]:80/", STDOUT)),
    ],
)
def test_url_behind_json(url: str | None, json_to: str | None, wanted: tuple[str, str]) -> None:
    assert url_and_json(url, json_to) == wanted


@pytest.mark.parametrize("json_to", [None, STDOUT, "out.json", "dir/out.json"])
def test_no_url(json_to: str | None) -> None:
    with pytest.raises(UsageError, match="no URL was given"):
        url_and_json(None, json_to)


@given(st.text())
def test_plain_text_shows_and_never_steers(text: str) -> None:
    shown = sanitize(text)
    assert shown == "" or shown.isprintable()
    assert sanitize(shown) == shown
    shown.encode("utf-8")
    assert "\n" not in one_line(text)
    kept = sanitize(text, keep="\n")
    assert kept.count("\n") == text.count("\n")


def test_plain_escapes() -> None:
    assert sanitize("a\x1b[31m\x9b\u202e\ud800\u2028\xa0b") == (
        "a\\x1b[31m\\x9b\\u202e\\ud800\\u2028 b"
    )
    assert one_line("a\r\n\tb\x00") == "a b\\x00"
    assert sanitize("größer ☃ 日本") == "größer ☃ 日本"


@given(st.dictionaries(st.text(), st.text()))
def test_json_says_the_same_and_holds_nothing_that_steers(value: dict[str, str]) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(out):
        write_json(value, STDOUT)
    out.seek(0)
    got = out.read()
    assert json.loads(got) == value
    assert not any(0x7F <= ord(c) <= 0x9F for c in got)
