"""Damaged records of checks and load tests; each differs from an intact record in one change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.hostile_responses import EVIL
from support.load_test_model import simulate
from support.synthetic_streams import answer, even_schedule, exchange
from undam.record import header_line, record_lines, request_result_line

ABOUT = {"url": "http://a/", "load": "closed loop of 5", "workers": 2, "host": "h"}
END = {"kind": "end", "interrupted": False, "planned": 30, "missing_percent": 0, "lost_workers": []}
LOST = {"worker": 1, "why": "killed", "at_s": 1.0, "missing_percent": 5}

# JSON texts that replace the value of a field.
VALUES = (
    "NaN", "1e999", "-1e999", "9" * 4000, "-1", "1.5", "true", "null", '"x"', '"\\ud800"', "[]",
    "{}", "[[[[[]]]]]", "[" * 900 + "]" * 900, '{"a":' * 400 + "1" + "}" * 400, json.dumps(EVIL),
    "9223372036854775807", "0",
)  # fmt: skip
_MARK = "<mark>"


def bench_record() -> list[str]:
    """Return the lines of a load-test record."""
    results = map(request_result_line, simulate(30))
    return [header_line({"command": "bench", **ABOUT}), *results, json.dumps(END) + "\n"]


def check_record() -> list[str]:
    """Return the lines of a record of a check with two hops."""
    streams = [exchange(answer(even_schedule(25, 12)), hop=hop) for hop in ("origin", "edge")]
    return list(record_lines(streams, {"command": "check", **ABOUT}))


def _with(row: dict[str, Any], name: str, text: str) -> str:
    return json.dumps(row | {name: _MARK}).replace(json.dumps(_MARK), text) + "\n"


def _field_changes(lines: list[str], at: int, values: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    row = json.loads(lines[at])
    for number, name in enumerate(row):
        # Each field gets two of the values, which limits the number of records but uses every
        # value.
        for value in (values[(2 * number) % len(values)], values[(2 * number + 1) % len(values)]):
            changed = [*lines]
            changed[at] = _with(row, name, value)
            yield f"line {at}: {name} is {value[:12]} of {len(value)}", "".join(changed)


def _line_changes(lines: list[str]) -> Iterator[tuple[str, str]]:
    text = "".join(lines)
    yield "cut", text[:-40]
    yield "cut in the middle", text[: len(text) // 2]
    yield "without its end", "".join(lines[:-1])
    yield "reversed", "".join([lines[0], *reversed(lines[1:])])
    yield "twice", text + "".join(lines[1:])
    yield "byte order mark", "\ufeff" + text
    yield "line separators", text.replace("http://a/", "http://a/\u2028\u2029\x85")
    yield "carriage returns", text.replace("\n", "\r\n")
    yield "NUL bytes", "".join([*lines[:3], "\0" * 1000 + "\n", *lines[3:]])
    yield "empty lines", text.replace("\n", "\n\n")
    yield "a line of 3 MB", "".join([*lines[:2], "x" * 3_000_000 + "\n", *lines[2:]])
    yield "unknown kinds", "".join([*lines[:2], '{"kind":"later"}\n' * 99, *lines[2:]])
    yield "not UTF-8", "".join([*lines[:2], "\udcff\udcfe\n", *lines[2:]])
    yield "duplicate keys", text.replace('{"kind"', '{"kind": "x", "kind"')
    yield "only the header", lines[0]
    yield "damage in every line", lines[0] + "".join(line[1:] for line in lines[1:])


def damaged_records() -> dict[str, str]:
    """Return damaged records by name; lone surrogates stand for bytes that are not UTF-8."""
    found: dict[str, str] = {}
    for kind, lines in (("bench", bench_record()), ("check", check_record())):
        places = (0, 2, len(lines) - 1) if kind == "bench" else (0, 1, 3, len(lines) - 1)
        for at in places:
            found |= {f"{kind} {name}": text for name, text in _field_changes(lines, at, VALUES)}
        found |= {f"{kind} {name}": text for name, text in _line_changes(lines)}
    lines = bench_record()
    for name, value in {
        "slo": [{"text": EVIL, "met": False}], "findings": [{"code": EVIL}], "slos": 5,
        "stall_ms": EVIL, "requests": EVIL, "duration_s": EVIL, "nodes": 7, "sweep": [1],
        EVIL: EVIL,
    }.items():  # fmt: skip
        header = json.dumps(json.loads(lines[0]) | {name: value}) + "\n"
        found[f"bench header with {name[:9]!r}"] = "".join([header, *lines[1:]])
    for name, lost in {
        "text": "abc", "number": 5, "mixed": [1, "x", None, {"worker": 1}],
        "evil": [LOST | {"why": EVIL}],
        "nan": [LOST | {"at_s": float("nan")}], "deep": [[[[]]]],
    }.items():  # fmt: skip
        end = json.dumps(END | {"lost_workers": lost}) + "\n"
        found[f"bench end with lost {name}"] = "".join([*lines[:-1], end])
    return found
