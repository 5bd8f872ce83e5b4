"""`undam check` with signals, pipes and terminals: clean exits and output, never a traceback."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.chunked import chunk
from support.eventually import eventually
from support.terminal import on_terminal
from support.threaded_server import head, serving, stream, token, wait_for_disconnect, whole
from support.undam_command import RunCommand, StartCommand

# Each case starts a process, which takes a third of a second.
pytestmark = pytest.mark.slow

SIGNALS = [
    (signal.SIGINT, 130, b"undam: interrupted"),
    (signal.SIGTERM, 143, b"undam: terminated"),
]


def endless(conn: socket.socket, _request: bytes) -> None:
    """Send a stream that never ends."""
    conn.sendall(head() + chunk(token()))
    wait_for_disconnect(conn)


@pytest.mark.parametrize(("number", "code", "line"), SIGNALS)
@pytest.mark.parametrize("when", ["before the head", "in the stream"])
def test_signal_during_a_check(
    start: StartCommand, tmp_path: Path, number: int, code: int, line: bytes, when: str
) -> None:
    script = endless if when == "in the stream" else lambda conn, _: wait_for_disconnect(conn)
    with serving(script) as server:
        process = start(
            "check", server.url("/events"),
            "--json", str(tmp_path / "a.json"), "--record", str(tmp_path / "a.record"),
        )  # fmt: skip
        eventually(lambda: bool(server.requests))
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert out == b""
    assert err.strip().splitlines() == [line]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code", "line"), SIGNALS)
def test_signal_while_files_are_written(
    start: StartCommand, tmp_path: Path, number: int, code: int, line: bytes
) -> None:
    """The write to a full pipe blocks, so the signal arrives during the write."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    folder = tmp_path / "out"
    folder.mkdir()
    much = whole(token("x" * 50_000) * 20)
    with serving(lambda conn, _: conn.sendall(much)) as server:
        process = start(
            "check", server.url("/events"), "--record", str(pipe), "--json", str(folder / "json")
        )
        eventually(lambda: len(server.requests) == 1)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            # The header is written only after the measurement.
            got = b""

            def is_writing() -> bool:
                nonlocal got
                try:
                    got += os.read(reader, 10)
                except BlockingIOError:
                    return False
                return bool(got)

            eventually(is_writing)
            process.send_signal(number)
            _, err = process.communicate(timeout=30)
        finally:
            os.close(reader)
    assert process.returncode == code
    assert err.strip().splitlines() == [line]
    assert list(folder.iterdir()) == []


def test_closed_output_pipe_changes_neither_exit_code_nor_files(
    tmp_path: Path, start: StartCommand
) -> None:
    for form, wanted in [([], "UNKNOWN"), (["--json"], "{")]:
        record = tmp_path / "record"
        with serving(lambda conn, _: conn.sendall(whole(b""))) as server:
            command = ["check", server.url("/events"), "--record", str(record), *form]
            process = start(*command)
            assert process.stdout is not None
            assert process.stderr is not None
            first = process.stdout.read(1)
            process.stdout.close()
            err = process.stderr.read()
            process.wait(30)
        assert (process.returncode, err, first.decode()) == (1, b"", wanted[0])
        assert record.exists()
        record.unlink()


def test_output_pipe_without_a_reader(start: StartCommand) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with serving(lambda conn, _: stream(conn, 12)) as server:
            for form in ([], ["--json"]):
                process = start("check", server.url(), *form, stdout=writing)
                _, err = process.communicate(timeout=30)
                assert (process.returncode, err) == (0, b"")
    finally:
        os.close(writing)


def test_progress_is_shown_only_on_a_terminal(start: StartCommand, run: RunCommand) -> None:
    with serving(lambda conn, _: stream(conn, 40, 0.02)) as server:
        code, out, shown = on_terminal(start, "check", server.url(), "--json")
        piped = run("check", server.url(), "--json")
    assert code in {0, 1}
    json.loads(out)
    assert "edge: " in shown
    assert "reads" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # The cursor is visible again.
    assert piped.err == ""


@pytest.mark.parametrize(("number", "code", "line"), SIGNALS)
def test_signal_on_a_terminal_restores_the_cursor(
    start: StartCommand, number: int, code: int, line: bytes
) -> None:
    master, slave = pty.openpty()
    with serving(endless) as server:
        process = start("check", server.url("/events"), stderr=slave, env={"TERM": "xterm"})
        os.close(slave)
        shown = b""
        while b"reads" not in shown:
            shown += os.read(master, 4096)
        process.send_signal(number)
        process.communicate(timeout=30)
    try:
        while more := os.read(master, 4096):
            shown += more
    except OSError:
        pass
    os.close(master)
    assert process.returncode == code
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") == 1
    assert line in shown


def test_hop_name_with_markup_is_shown_literally_in_the_progress(start: StartCommand) -> None:
    with serving(lambda conn, _: stream(conn, 20, 0.02)) as server:
        code, _, shown = on_terminal(start, "check", server.url(), "--hop", f"[/b]={server.url()}")
    assert code in {0, 1}
    assert "[/b]: " in shown


@pytest.mark.parametrize("no_color", [False, True])
def test_colour_on_a_terminal_unless_no_color(start: StartCommand, no_color: bool) -> None:
    master, slave = pty.openpty()
    env = {"TERM": "xterm-256color"} | ({"NO_COLOR": "1"} if no_color else {})
    with serving(lambda conn, _: stream(conn, 20)) as server:
        process = start("check", server.url(), stdout=slave, env=env)
        os.close(slave)
        shown = b""
        try:
            while more := os.read(master, 4096):
                shown += more
        except OSError:
            pass
        process.communicate(timeout=30)
    os.close(master)
    # On a busy machine, the stream may be delayed, which causes exit code 1.
    assert process.returncode in {0, 1}
    assert b"edge" in shown
    assert (b"\x1b[" in shown) == (not no_color)


def test_output_encoding_without_the_characters(run: RunCommand) -> None:
    with serving(lambda conn, _: conn.sendall(whole("data: ä\n\n".encode()))) as server:
        for form in ([], ["--json"]):
            ran = run(
                "check", server.url("/events"), "--hop", f"ö☃={server.url('/events')}", *form,
                env={"PYTHONIOENCODING": "ascii"},
            )  # fmt: skip
            assert ran.code in {0, 1}
            assert ran.out.isascii()


def test_help_loads_neither_rich_nor_the_probe() -> None:
    code = (
        "import sys; sys.argv = ['undam', '--help']\n"
        "from undam.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "heavy = {'rich', 'asyncio', 'ssl', 'undam.wire', 'undam.probe', 'tempfile', 'httptools'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    for command in ("check", "explain", "lab", "sim"):
        assert command in done.stdout


def test_no_command_prints_the_help_and_exits_2(run: RunCommand) -> None:
    ran = run()
    assert (ran.code, ran.out) == (2, "")
    assert "Commands:" in ran.err
    assert run("--help").code == 0
    assert run("check", "--help").out.startswith("Usage: undam check")
