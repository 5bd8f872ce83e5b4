"""Reading lines from a pipe: complete lines only, end of input, and the maximum line length."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from undam.cli.commands.mcp import input_lines
from undam.cli.commands.mcp.input_lines import InputLines


def lines_of(*parts: bytes) -> list[str]:
    """Write the parts to a pipe one by one, and return the lines that are read from it."""
    read_end, write_end = os.pipe()

    def write() -> None:
        for part in parts:
            os.write(write_end, part)
        os.close(write_end)

    async def main() -> list[str]:
        return [line async for line in InputLines(read_end)]

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return asyncio.run(main())
    finally:
        writer.join()
        os.close(read_end)


def test_lines_are_joined_from_parts() -> None:
    assert lines_of(b"one\ntw", b"o\n", b"\nthree\nrest") == ["one", "two", "", "three"]
    assert lines_of("ü\n".encode()[:1], "ü\n".encode()[1:], b"\xff\n") == ["ü", "\ufffd"]
    assert lines_of() == []


def test_more_lines_than_the_queue_holds_arrive_in_order() -> None:
    sent = [str(number) for number in range(500)]
    assert lines_of("\n".join([*sent, ""]).encode()) == sent


def test_a_line_without_an_end_ends_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_lines, "_MAX_LINE_BYTES", 10)
    assert lines_of(b"one\n" + b"x" * 100) == ["one"]
