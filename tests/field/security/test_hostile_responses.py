"""Hundreds of hostile responses: every command prints a result or one error line.

No output contains control characters.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.hostile_responses import hostile_responses
from support.threaded_server import JSON, Server, serving, whole
from support.undam_command import invoke
from undam.errors import UndamError
from undam.loadtest.analysis.response_analyzer import (
    ApiContext,
    EndCause,
    RequestEnd,
    ResponseAnalyzer,
)
from undam.record import header_line, read_request_results, request_result_line

pytestmark = pytest.mark.slow

RESPONSES = hostile_responses()
# C0 and C1 controls except tab and line feed, bidirectional controls, line separators, surrogates.
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
KINDS = sorted(RESPONSES)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    def answer(conn: socket.socket, request: bytes) -> None:
        number = request.split()[1].decode().split("/")[1]
        if number.isdigit():
            conn.sendall(RESPONSES[KINDS[int(number)]])
        else:
            conn.sendall(whole(b"{}", "404 Not Found", JSON))

    with serving(answer) as running:
        yield running


def run(*args: str) -> tuple[int, str]:
    """Return the exit code and all output; an error that the command reports has exit code 2."""
    try:
        done = invoke(*args)
    except UndamError as error:
        message = str(error)
        assert message.strip()
        return 2, ""
    return done.code, done.out + done.err


def no_constants(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


def test_there_are_more_than_two_hundred() -> None:
    assert len(RESPONSES) > 200


@pytest.mark.parametrize("name", KINDS)
def test_check_and_watch(server: Server, tmp_path: Path, name: str) -> None:
    record = tmp_path / "record"
    chat, plain = (
        server.url(f"/{KINDS.index(name)}/{path}") for path in ("v1/chat/completions", "sse")
    )
    code, out = run("check", chat, "--timeout", "5", "--json", "--record", str(record))
    assert code in {0, 1, 2}
    assert not CONTROLS.search(out)
    if code != 2:
        result = json.loads(out, parse_constant=no_constants)
        again, text = run("report", str(record), "--json")
        repeated = json.loads(text, parse_constant=no_constants)
        assert again == code
        assert repeated["damage"]["lines"] == 0
        assert repeated["verdict"] == result["verdict"]
    code, out = run("watch", plain, "--timeout", "5")
    assert code in {0, 1, 2}
    assert not CONTROLS.search(out)


@pytest.mark.parametrize("api", ["openai-chat", "plain", "anthropic-messages"])
def test_results_of_load_tests_can_be_recorded(api: str) -> None:
    """If the load generator accepts a response, `undam report` accepts the resulting record."""
    context = ApiContext(api)
    lines = [header_line({"command": "bench"})]
    for number, name in enumerate(KINDS):
        analyzer = ResponseAnalyzer(context)
        for at, start in enumerate(range(0, len(RESPONSES[name]), 20_000), 1):
            analyzer.receive((at * 1000, 0, 0, RESPONSES[name][start : start + 20_000]))
        result = analyzer.finish(
            RequestEnd(
                number=number, worker=0, warmup=False, intended_ns=0, started_ns=1,
                ended_ns=10**9, cause=EndCause.CLOSED,
            )
        )  # fmt: skip
        assert not CONTROLS.search(result.message + result.kind), name
        lines.append(request_result_line(result))
    record = read_request_results(lines)
    assert (len(record.results), record.damage.lines) == (len(KINDS), 0)
