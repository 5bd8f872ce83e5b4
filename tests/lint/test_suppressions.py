"""Suppression comments in the form `# undam: allow RULE`."""

from __future__ import annotations

import pytest

from support.toy_dialect import TOY
from undam.lint.engine import fix_source, lint_source
from undam.lint.settings import Settings
from undam.lint.suppressions import suppressed_at
from undam.textfiles.source import Source


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("slow # undam: allow TST101", {"tst101"}),
        ("# undam: allow TST101, tst101-word\nslow", {"tst101", "tst101-word"}),
        ("  // undam:allow tst101,x\nslow", {"tst101", "x"}),
        ("; undam: allow a because it is short\nslow", {"a"}),
        ("fast # undam: allow TST101\nslow", set()),
        ("# undam: allow TST101\n\nslow", set()),
        ("undam: allow TST101\nslow", set()),
        ("# undam: allow\nslow", set()),
    ],
)
def test_a_comment_suppresses_on_its_line_or_alone_on_the_line_above(
    text: str, names: set[str]
) -> None:
    assert suppressed_at(Source("f", text), text.count("\n") + 1) == names


@pytest.mark.parametrize("name", ["TST101", "tst101", "tst101-WORD"])
def test_a_suppressed_diagnostic_is_neither_reported_nor_fixed(name: str) -> None:
    source = Source("f", f"# undam: allow {name}\nslow\nslow")
    (remaining,) = lint_source(TOY, source, Settings()).diagnostics
    assert remaining.line == 3
    assert fix_source(TOY, source, Settings()) == f"# undam: allow {name}\nslow\nfast"
