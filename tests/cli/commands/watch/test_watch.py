"""`undam watch` on a terminal and in a pipe, with interrupts, and with JSON output."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.scripted_server import DONE, HEAD, RESET, STREAM, Script, ScriptedServer, chat_chunk
from undam.record import read_record

pytestmark = pytest.mark.slow  # Uses sockets and waits for timeouts.

_UNDAM = (sys.executable, "-m", "undam", "watch")
_LIMIT_S = 60
_WORDS = [f"w{i} " for i in range(12)]
_END = (chat_chunk(finish="stop"), DONE)
_SLOW: Script = [STREAM, *(part for word in _WORDS for part in (chat_chunk(word), 0.15)), *_END]
_QUICK: Script = [STREAM, *(part for word in _WORDS for part in (chat_chunk(word), 0.02)), *_END]
_JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
_MODELS: Script = [_JSON_HEAD + b'{"data": [{"id": "the-model"}]}']
_TIMING = re.compile(
    r"TTFT \d+\.\d ms, ITL p50 \d+\.\d ms p99 \d+\.\d ms, \d+\.\d tokens/s, 12 events in \d+\.\d s"
)


def _environ(**more: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "ANTHROPIC_"))}
    return {**inherited, "PYTHONUNBUFFERED": "", **more}


def _watch(
    *arguments: str, stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_UNDAM, *arguments],
        input=stdin, capture_output=True, text=True, timeout=_LIMIT_S, env=env or _environ(),
        check=False,
    )  # fmt: skip


def _server(*scripts: Script, models: bool = True) -> ScriptedServer:
    return ScriptedServer([_MODELS, *scripts] if models else scripts)


def _request_body(server: ScriptedServer) -> dict[str, Any]:
    body = json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])
    assert isinstance(body, dict)
    return body


def test_in_a_pipe_the_text_is_plain_and_the_timing_goes_to_standard_error() -> None:
    script = [STREAM, b": ping\n\n", *_QUICK[1:]]
    with _server(script) as server:
        run = _watch(server.url, "hi")
    assert run.stdout == "".join(_WORDS) + "\n"
    assert _TIMING.match(run.stderr), run.stderr
    assert run.stderr.endswith("1 heartbeat: streaming\n")
    assert run.returncode == 0


def test_the_request_has_the_prompt_the_headers_and_the_key() -> None:
    with _server(_QUICK) as server:
        _watch(server.url, "Why?", "-H", "X-Mine: 1", env=_environ(OPENAI_API_KEY="secret-key-1"))
        body = _request_body(server)
        head = server.requests[-1].lower()
    assert body["messages"] == [{"role": "user", "content": "Why?"}]
    assert body["model"] == "the-model"
    assert b"authorization: bearer secret-key-1" in head
    assert b"x-mine: 1" in head


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_the_prompt_can_be_read_from_standard_input(arguments: tuple[str, ...]) -> None:
    with _server(_QUICK, models=False) as server:
        _watch("--model", "m", server.url, *arguments, stdin="from a pipe")
        assert _request_body(server)["messages"][0]["content"] == "from a pipe"


def test_an_empty_standard_input_is_an_error_only_for_a_dash() -> None:
    with _server(_QUICK, models=False) as server:
        assert _watch("--model", "m", server.url).returncode == 0
        assert "120" in _request_body(server)["messages"][0]["content"]
        run = _watch("--model", "m", server.url, "-")
    assert run.returncode == 2
    assert run.stderr == "undam: the prompt on standard input is empty\n"


@pytest.mark.parametrize("base", ["/v1", "/v1/", ""])
def test_a_base_url_means_its_chat_endpoint(base: str) -> None:
    with _server(_QUICK, models=False) as server:
        url = server.url.removesuffix("/v1/chat/completions") + base
        assert _watch("--model", "m", url, "hi").returncode == 0
        assert server.requests[0].startswith(b"POST /v1/chat/completions ")


def test_the_base_url_can_be_read_from_the_environment() -> None:
    with _server(_QUICK, models=False) as server:
        base = server.url.removesuffix("/chat/completions")
        run = _watch("--model", "m", "a prompt", env=_environ(OPENAI_BASE_URL=base))
        assert (run.returncode, run.stdout) == (0, "".join(_WORDS) + "\n")
        assert _request_body(server)["messages"][0]["content"] == "a prompt"


def test_a_missing_url_is_an_error_with_an_example() -> None:
    run = _watch()
    assert run.returncode == 2
    message = "undam: missing URL, and OPENAI_BASE_URL is not set; example: undam"
    assert run.stderr.startswith(message)


def test_raw_shows_events_and_comments_with_arrival_times() -> None:
    body: Script = [STREAM, b"id: 7\nevent: e\ndata: a\ndata: b\n\n", 0.2, b": ping\n\n"]
    with _server(body, models=False) as server:
        url = server.url.replace("/v1/chat/completions", "/events")
        lines = _watch("--raw", url).stdout.splitlines()
    times = [float(line.split()[0]) for line in (lines[0], lines[4])]
    assert [line[14:] for line in lines] == ["id: 7", "event: e", "data: a", "data: b", ": ping"]
    assert [line[:14].strip() == "" for line in lines] == [False, True, True, True, False]
    assert times[1] - times[0] > 0.15


def test_control_characters_of_the_model_are_escaped() -> None:
    text = "a\x1b[2J\x9b31m\rb\tc\nd\x07\u202e\ud800e"
    with _server(
        [STREAM, chat_chunk(text), chat_chunk(finish="stop"), DONE], models=False
    ) as server:
        url = server.url
        plain = _watch("--model", "m", url, "hi").stdout
        raw = _watch("--model", "m", "--raw", url, "hi").stdout
    assert plain == "a\\x1b[2J\\x9b31m\\rb\tc\nd\\x07\\u202e\\ud800e\n"
    assert {c for c in raw if not c.isprintable()} == {"\n"}


def test_halves_of_a_character_in_two_events_are_joined() -> None:
    words = [chat_chunk("a \ud83d"), chat_chunk("\ude00 b"), chat_chunk("\ud83d")]
    with _server([STREAM, *words, chat_chunk(finish="stop"), DONE], models=False) as server:
        run = _watch("--model", "m", server.url, "hi")
    assert run.stdout == "a \N{GRINNING FACE} b\\ud83d\n"


def test_damaged_text_is_reported_with_exit_code_1() -> None:
    words = [chat_chunk("a \ufffd\ufffd"), chat_chunk("b \ufffd")]
    with _server([STREAM, *words, chat_chunk(finish="stop"), DONE], models=False) as server:
        run = _watch("--model", "m", server.url, "hi")
    assert (run.returncode, "UD615" in run.stderr) == (1, True)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([STREAM, chat_chunk("a")], "UD601"),
        ([STREAM, chat_chunk("a"), 0.1, RESET], "UD602"),
        ([STREAM, chat_chunk("a"), b'data: {"error": {"message": "boom"}}\n\n', DONE], "boom"),
        ([STREAM, chat_chunk("a"), b"data: {\n\n", DONE], "not JSON"),
    ],
)
def test_a_faulty_end_is_reported_with_exit_code_1(script: Script, message: str) -> None:
    with _server(script, models=False) as server:
        run = _watch("--model", "m", server.url, "hi")
    assert run.stdout == "a\n"
    assert message in run.stderr
    assert run.returncode == 1


def test_a_held_stream_has_exit_code_1() -> None:
    body = b"".join(chat_chunk(word) for word in _WORDS)
    with _server([STREAM, 0.5, body + chat_chunk(finish="stop") + DONE], models=False) as server:
        run = _watch("--model", "m", server.url, "hi")
    assert "held-to-end" in run.stderr
    assert "tokens/s" not in run.stderr
    assert run.returncode == 1


def test_a_rejected_request_is_one_line_without_secrets() -> None:
    body = b'{"error": "no such key: secret-key-1"}'
    head = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n" % len(body)
    with _server([head + body], models=False) as server:
        run = _watch("--model", "m", server.url, "hi", env=_environ(OPENAI_API_KEY="secret-key-1"))
    assert run.returncode == 2
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert "secret-key-1" not in run.stderr


def test_a_body_that_is_not_a_stream_is_shown_unchanged() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    with _server([head + "grüße".encode()], models=False) as server:
        run = _watch(server.url.replace("/v1/chat/completions", "/page"))
    assert run.stdout == "grüße\n"


def test_json_on_standard_output_is_the_only_output() -> None:
    with _server(_QUICK, models=False) as server:
        run = _watch("--json", "--model", "m", server.url, "hi")
    result = json.loads(run.stdout)
    assert run.returncode == 0
    assert (result["command"], result["verdict"], result["events"]) == ("watch", "streaming", 12)
    assert result["text"] == "".join(_WORDS)
    assert result["complete"] is True
    assert result["ttft_ms"] < result["e2e_ms"]
    assert result["itl_ms"]["p50"] <= result["itl_ms"]["p99"] <= result["itl_ms"]["max"]


def test_with_json_in_a_file_the_text_stays_on_standard_output(tmp_path: Path) -> None:
    file = tmp_path / "watched.json"
    with _server(_QUICK, models=False) as server:
        run = _watch("--json", str(file), "--model", "m", server.url, "hi")
    assert run.stdout == "".join(_WORDS) + "\n"
    assert json.loads(file.read_text())["schema"] == 1


def test_a_record_contains_the_whole_body(tmp_path: Path) -> None:
    file = tmp_path / "watched.undam"
    with _server(_QUICK, models=False) as server:
        _watch("--record", str(file), "--model", "m", server.url, "hi")
    about, exchanges = read_record(file.read_text().splitlines(keepends=True))
    assert about["command"] == "watch"
    body = b"".join(arrival.data for arrival in exchanges[0].arrivals)
    assert body == b"".join(step for step in _QUICK[1:] if isinstance(step, bytes))


@pytest.fixture
def slow() -> Iterator[ScriptedServer]:
    """Run a server whose response takes about two seconds."""
    with _server(_SLOW, models=False) as server:
        yield server


def test_tokens_are_written_when_they_arrive(slow: ScriptedServer) -> None:
    with subprocess.Popen(
        [*_UNDAM, "--model", "m", slow.url, "hi"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as run:
        assert run.stdout is not None
        first = os.read(run.stdout.fileno(), 65536)
        at = time.monotonic()
        rest = run.stdout.read()
        assert first.startswith(b"w0 ")
        assert len(first) < len("".join(_WORDS)) / 2
        assert first + rest == "".join(_WORDS).encode() + b"\n"
        # Most of the stream had not arrived when the first tokens were written.
        assert time.monotonic() - at > 0.5


def test_an_exited_reader_is_not_an_error(slow: ScriptedServer) -> None:
    script = f"{' '.join(_UNDAM)} --raw --model m {slow.url} hi | head -1; exit ${{PIPESTATUS[0]}}"
    run = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=_LIMIT_S, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert len(run.stdout.splitlines()) == 1
    assert (run.stderr, run.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminated"]
)
def test_an_interrupted_stream_is_reported_with_its_timing(
    slow: ScriptedServer, sent: signal.Signals, code: int
) -> None:
    with subprocess.Popen(
        [*_UNDAM, "--model", "m", slow.url, "hi"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as run:  # fmt: skip
        assert run.stdout is not None
        os.read(run.stdout.fileno(), 65536)
        run.send_signal(sent)
        _, err = run.communicate(timeout=_LIMIT_S)
    assert re.match(r"TTFT \d+\.\d ms, .*: unknown; interrupted\n", err), err
    assert run.returncode == code


def test_an_interruption_before_the_response_is_reported() -> None:
    with (
        _server([10.0], models=False) as server,
        subprocess.Popen(
            [*_UNDAM, "--model", "m", server.url, "hi"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as run,
    ):  # fmt: skip
        deadline = time.monotonic() + _LIMIT_S
        while not server.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=_LIMIT_S)
    assert out == ""
    assert "before the response" in err
    assert run.returncode == 130


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI", "").lower() in {"true", "1"}:
            pytest.fail(f"{name} is not installed: scripts/install-proxies all", pytrace=False)
        pytest.skip(f"{name} is not installed")
    return path


def _pane(tmux: list[str]) -> str:
    run = subprocess.run(
        [*tmux, "capture-pane", "-p", "-e", "-J"],
        capture_output=True, text=True, timeout=_LIMIT_S, check=False,
    )  # fmt: skip
    return run.stdout


def test_on_a_terminal_tokens_appear_over_time_with_dim_marks(tmp_path: Path) -> None:
    tmux = [_program("tmux"), "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]
    burst = b"".join(chat_chunk(f"b{i} ") for i in range(8))
    script: Script = [*_SLOW[:-2], b": ping\n\n", 1.2, burst, chat_chunk(finish="stop"), DONE]
    with _server(script, models=False) as server:
        command = f"{' '.join(_UNDAM)} --model m {server.url} hi; echo code $?; sleep 30"
        env = _environ(TERM="screen", LANG="C.UTF-8", LC_ALL="C.UTF-8")
        subprocess.run(
            [*tmux, "new-session", "-d", "-x", "160", "-y", "20", command],
            check=True, timeout=_LIMIT_S, env=env,
        )  # fmt: skip
        try:
            screens: list[str] = []
            deadline = time.monotonic() + _LIMIT_S
            while time.monotonic() < deadline and not (screens and "code " in screens[-1]):
                screens.append(_pane(tmux))
                time.sleep(0.1)
        finally:
            subprocess.run([*tmux, "kill-server"], check=False, timeout=_LIMIT_S)
    counts = {len(re.findall(r"\bw\d+ ", pane)) for pane in screens}
    assert len(counts) >= 3, counts  # The displayed text grew over time.
    last = screens[-1]
    assert "\x1b[2m·" in last
    assert re.search(r"\[1\.\d s\]", last)
    assert "[x8]" in last
    assert re.search(r"TTFT \d+\.\d ms.*20 events.*1 stall, 1 heartbeat", last)
    assert "code 0" in last


def test_no_color_removes_escapes_but_not_marks() -> None:
    with _server([STREAM, b": ping\n\n", *_QUICK[1:]], models=False) as server:
        command = f"{' '.join(_UNDAM)} --model m {server.url} hi"
        run = subprocess.run(
            [_program("script"), "-qec", command, "/dev/null"],
            capture_output=True, text=True, timeout=_LIMIT_S, check=False,
            stdin=subprocess.DEVNULL, env=_environ(NO_COLOR="1", LC_ALL="C.UTF-8"),
        )  # fmt: skip
    assert "\x1b" not in run.stdout
    assert run.stdout.startswith("·w0 ")


def test_a_gzipped_stream_is_decoded() -> None:
    coder = zlib.compressobj(wbits=31)
    parts = [
        coder.compress(step) + coder.flush(zlib.Z_SYNC_FLUSH) if isinstance(step, bytes) else step
        for step in _QUICK[1:]
    ]
    head = HEAD + b"Content-Encoding: gzip\r\n\r\n"
    with _server([head, *parts, coder.flush()], models=False) as server:
        run = _watch("--model", "m", server.url, "hi")
    assert (run.stdout, run.returncode) == ("".join(_WORDS) + "\n", 0)
