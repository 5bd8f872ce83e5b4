"""SARIF output of `undam lint`: conformance to the standard, and fixes as regions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from support.sarif_subset import SARIF_SUBSET
from support.undam_command import invoke
from undam.lint import Edit, Source, apply_edits, config_rules

RULES = Path(__file__).parents[3] / "rules"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def log() -> Json:
    """Return the SARIF log for the faulty examples of all rules."""
    bad = [str(path) for path in sorted(RULES.glob("*/bad.*"))]
    return invoke("lint", *bad, "--format", "sarif").json


def results(log: Json) -> list[Json]:
    found = log["runs"][0]["results"]
    assert len(found) > 50
    return list(found)


def schema_errors(log: Json) -> list[str]:
    """Return the log's violations of the SARIF schema."""
    errors = Draft202012Validator(SARIF_SUBSET).iter_errors(log)
    return [f"{one.json_path}: {one.message}" for one in errors]


def regions(value: Any) -> Iterator[Json]:
    """Yield every region in a SARIF log."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"region", "deletedRegion"}:
                yield inner
            yield from regions(inner)
    elif isinstance(value, list):
        for item in value:
            yield from regions(item)


def test_the_log_is_valid_by_the_standard(log: Json) -> None:
    Draft202012Validator.check_schema(SARIF_SUBSET)
    assert schema_errors(log) == []
    assert "sarif-schema-2.1.0.json" in log["$schema"]


@pytest.mark.parametrize(
    "wrong", [{"level": "notice"}, {"colour": "red"}, {"message": "text"}, {"locations": [{}]}]
)
def test_the_schema_rejects_invalid_logs(log: Json, wrong: Json) -> None:
    run = log["runs"][0]
    result = {**run["results"][0], **wrong}
    assert len(schema_errors({**log, "runs": [{**run, "results": [result]}]})) == 1


def test_regions_are_ordered_and_count_from_1(log: Json) -> None:
    found = list(regions(log))
    assert found
    for one in found:
        start = (one["startLine"], one.get("startColumn", 1))
        assert min(start) >= 1
        assert start <= (one.get("endLine", start[0]), one.get("endColumn", start[1]))


def test_all_rules_are_listed_and_results_refer_to_them(log: Json) -> None:
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.code for rule in config_rules()]
    for rule, known in zip(rules, config_rules(), strict=True):
        assert rule["help"]["text"] == known.explain
    for one in results(log):
        assert rules[one["ruleIndex"]]["id"] == one["ruleId"]


def test_replacements_equal_the_edits_in_json(log: Json) -> None:
    """Apply fixes by region, like any other tool, and compare the results with the JSON output."""
    expected = {one["path"]: one for one in invoke(
        "lint", *[str(path) for path in sorted(RULES.glob("*/bad.*"))], "--json"
    ).json["findings"] if one["fix"]}  # fmt: skip
    equal = 0
    for one in results(log):
        for fix in one.get("fixes", []):
            (change,) = fix["artifactChanges"]
            path = unquote(urlsplit(change["artifactLocation"]["uri"]).path)
            source = Source(path, Path(path).read_text("utf-8"))
            edits = [_edit(source, replacement) for replacement in change["replacements"]]
            assert apply_edits(source.text, edits) != source.text
            added = [edit.text for edit in edits]
            if expected[path]["code"] == one["ruleId"] and len(
                expected[path]["fix"]["edits"]
            ) == len(edits):
                equal += [edit["text"] for edit in expected[path]["fix"]["edits"]] == added
    assert equal > 30


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
    result = invoke("lint", ".", "gone", "--format", "sarif")
    assert result.code == 2
    assert schema_errors(result.json) == []
    (invocation,) = result.json["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    levels = [one["level"] for one in invocation["toolExecutionNotifications"]]
    assert levels == ["error", "note", "note"]
    uris = {
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for one in invocation["toolExecutionNotifications"]
    }
    assert uris == {"a%20b/nginx.conf", "gone", "lua.conf"}
    base = result.json["runs"][0]["originalUriBaseIds"]["%SRCROOT%"]["uri"]
    assert base == f"{tmp_path.as_uri()}/"


def test_standard_input_has_a_location() -> None:
    text = "server { location /v1/ { proxy_pass http://127.0.0.1:9000; } }\n"
    one, _ = invoke("lint", "-", "--format", "sarif", stdin=text).json["runs"][0]["results"]
    assert one["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "stdin"}
