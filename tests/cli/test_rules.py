"""`undam rules`: the complete list of rules, in text and JSON output."""

from __future__ import annotations

import json
from pathlib import Path

from support.undam_command import invoke
from undam.lint import DIALECTS, config_rules
from undam.rules import RULES


def test_every_rule_has_a_line_under_its_heading() -> None:
    said = invoke("rules")
    assert said.code == 0
    blocks = said.out.strip("\n").split("\n\n")
    titles = [block.splitlines()[0] for block in blocks]
    assert titles == ["a stream (undam check)", *(dialect.title for dialect in DIALECTS)]
    listed = [line.split() for block in blocks for line in block.splitlines()[1:]]
    known = (*RULES, *config_rules())
    assert [(words[0], words[1], words[-1]) for words in listed] == [
        (rule.code, rule.severity.value, rule.slug) for rule in known
    ]
    fixes = {words[0]: " ".join(words[2:-1]) for words in listed}
    assert fixes["UD101"] == "-"
    for rule in config_rules():
        wanted = {"safe": "fix", "unsafe": "unsafe fix", "none": "-"}
        assert fixes[rule.code] == wanted[rule.safety.value]


def test_json_has_the_same_with_dialect_and_source(tmp_path: Path) -> None:
    told = invoke("rules", "--json").json
    assert (told["schema"], told["command"]) == (1, "rules")
    rules = {rule["code"]: rule for rule in told["rules"]}
    assert list(rules) == [rule.code for rule in (*RULES, *config_rules())]
    assert (rules["NGX101"]["dialect"], rules["NGX101"]["safety"]) == ("nginx", "safe")
    assert rules["UD101"]["dialect"] is rules["UD101"]["safety"] is None
    file = tmp_path / "rules.json"
    assert invoke("rules", "--json", str(file)).out == invoke("rules").out
    assert json.loads(file.read_text()) == told
