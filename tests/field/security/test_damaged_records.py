"""A hundred damaged records: `report` and `compare` skip the damaged parts and report them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support.damaged_records import bench_record, damaged_records
from support.undam_command import invoke
from undam.errors import UsageError

RECORDS = damaged_records()
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def no_constants(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


def test_there_are_more_than_a_hundred() -> None:
    assert len(RECORDS) > 100


@pytest.mark.parametrize("name", RECORDS)
def test_a_damaged_record(tmp_path: Path, name: str) -> None:
    file, page = tmp_path / "record", tmp_path / "page.html"
    file.write_text(RECORDS[name], encoding="utf-8", errors="surrogateescape")
    try:
        result = invoke("report", str(file), "--json")
    except UsageError as error:
        assert "line" in str(error) or "record" in str(error)  # noqa: PT017
        return
    assert result.code in {0, 1}
    assert not CONTROLS.search(result.out + result.err)
    data = json.loads(result.out, parse_constant=no_constants)
    damage = data["damage"]
    assert ("left out" in result.err) is bool(damage["lines"])
    if damage["lines"]:
        assert damage["first_line"] is not None
        assert damage["reason"]
    options = ["--html", str(page)] if name.startswith("bench") else []
    text = invoke("report", str(file), *options)
    assert text.code == result.code
    assert not CONTROLS.search(text.out)
    if options:
        html = page.read_text("utf-8")
        assert not re.search(r"<script|<img|NaN|>nan|>inf", html)
        assert ("Damaged lines" in html) is bool(damage["lines"])
    if options and data["requests"]:
        other = tmp_path / "other"
        other.write_text("".join(bench_record()))
        compared = invoke("compare", str(file), str(other), "--json")
        json.loads(compared.out, parse_constant=no_constants)


@pytest.mark.parametrize("line", [1, 5, 30])
def test_the_other_lines_count(tmp_path: Path, line: int) -> None:
    file = tmp_path / "record"
    lines = bench_record()
    lines[line] = "{damaged\n"
    file.write_text("".join(lines))
    data = invoke("report", str(file), "--json").json
    assert data["damage"]["lines"] == 1
    assert data["damage"]["first_line"] == line + 1
    assert data["requests"] == 29
