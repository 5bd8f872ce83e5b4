"""SARIF of lint: what the standard asks, with fixes that other programs can make by regions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from support.sarif_subset import SARIF_SUBSET
from support.undam_in_process import call
from undam.lint import Edit, Source, apply_edits, config_rules

RULES = Path(__file__).parents[3] / "rules"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def log() -> Json:
    """Of every bad file of every rule, and of a file that is broken."""
    bad = [str(path) for path in sorted(RULES.glob("*/bad.*"))]
    return call("lint", *bad, "--format", "sarif").json


def results(log: Json) -> list[Json]:
    found = log["runs"][0]["results"]
    assert len(found) > 50
    return list(found)


def faults(log: Json) -> list[str]:
    """What the standard would not take."""
    found = Draft202012Validator(SARIF_SUBSET).iter_errors(log)
    return [f"{one.json_path}: {one.message}" for one in found]


def regions(found: Any) -> Iterator[Json]:
    """Every region anywhere in a log."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key in {"region", "deletedRegion"}:
                yield value
            yield from regions(value)
    elif isinstance(found, list):
        for one in found:
            yield from regions(one)


def test_log_is_what_the_standard_asks(log: Json) -> None:
    Draft202012Validator.check_schema(SARIF_SUBSET)
    assert faults(log) == []
    assert "sarif-schema-2.1.0.json" in log["$schema"]


@pytest.mark.parametrize(
    "wrong", [{"level": "notice"}, {"colour": "red"}, {"message": "text"}, {"locations": [{}]}]
)
def test_what_is_no_sarif_is_refused(log: Json, wrong: Json) -> None:
    """So that the test above can fail."""
    run = log["runs"][0]
    result = {**run["results"][0], **wrong}
    assert len(faults({**log, "runs": [{**run, "results": [result]}]})) == 1


def test_regions_are_in_order_and_count_from_1(log: Json) -> None:
    found = list(regions(log))
    assert found
    for one in found:
        start = (one["startLine"], one.get("startColumn", 1))
        assert min(start) >= 1
        assert start <= (one.get("endLine", start[0]), one.get("endColumn", start[1]))


def test_rules_are_all_there_and_results_point_to_theirs(log: Json) -> None:
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.code for rule in config_rules()]
    for rule, known in zip(rules, config_rules(), strict=True):
        assert rule["help"]["text"] == known.explain
    for one in results(log):
        assert rules[one["ruleIndex"]]["id"] == one["ruleId"]


def test_replacements_are_the_edits(log: Json) -> None:
    """Made by regions alone, as another program would, one fix gives what ours gives."""
    told = {one["path"]: one for one in call(
        "lint", *[str(path) for path in sorted(RULES.glob("*/bad.*"))], "--json"
    ).json["findings"] if one["fix"]}  # fmt: skip
    seen = 0
    for one in results(log):
        for fix in one.get("fixes", []):
            (change,) = fix["artifactChanges"]
            path = unquote(urlsplit(change["artifactLocation"]["uri"]).path)
            source = Source(path, Path(path).read_text("utf-8"))
            edits = [_edit(source, replacement) for replacement in change["replacements"]]
            assert apply_edits(source.text, edits) != source.text
            added = [edit.text for edit in edits]
            if told[path]["code"] == one["ruleId"] and len(told[path]["fix"]["edits"]) == len(
                edits
            ):
                seen += [edit["text"] for edit in told[path]["fix"]["edits"]] == added
    assert seen > 30


def _edit(source: Source, replacement: Json) -> Edit:
    lines = source.text.split("\n")

    def offset(line: int, column: int) -> int:
        return sum(len(text) + 1 for text in lines[: line - 1]) + column - 1

    at = replacement["deletedRegion"]
    start = offset(at["startLine"], at["startColumn"])
    return Edit(
        start, offset(at["endLine"], at["endColumn"]), replacement["insertedContent"]["text"]
    )


def test_problems_and_unread_parts_are_notifications(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a b").mkdir()
    Path("a b/nginx.conf").write_text("http {\n")
    Path("lua.conf").write_text(
        "server {\n listen 1;\n location /v1/ { set_by_lua_block $a { b() } }\n}\n"
    )
    said = call("lint", ".", "gone", "--format", "sarif")
    assert said.code == 2
    assert faults(said.json) == []
    (told,) = said.json["runs"][0]["invocations"]
    assert told["executionSuccessful"] is False
    levels = [one["level"] for one in told["toolExecutionNotifications"]]
    assert levels == ["error", "error", "note"]
    uris = {
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for one in told["toolExecutionNotifications"]
    }
    assert uris == {"a%20b/nginx.conf", "gone", "lua.conf"}
    base = said.json["runs"][0]["originalUriBaseIds"]["%SRCROOT%"]["uri"]
    assert base == f"{tmp_path.as_uri()}/"


def test_standard_input_has_a_place_too() -> None:
    text = "server { location /v1/ { proxy_pass http://127.0.0.1:9000; } }\n"
    (one,) = call("lint", "-", "--format", "sarif", stdin=text).json["runs"][0]["results"]
    assert one["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "stdin"}
