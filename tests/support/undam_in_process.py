"""Commands called in this process: as quick as a function, with what they would print."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from undam.cli.main import undam


@dataclass(frozen=True)
class CompletedCommand:
    """What a command said. An error that ends the program is raised instead."""

    code: int
    out: str
    err: str
    raw: bytes

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def codes(self) -> list[str]:
        """The codes of the findings, from JSON on standard output."""
        return [one["code"] for one in self.json["findings"]]


def call(*args: str, stdin: str | bytes = b"") -> CompletedCommand:
    """``call("lint", "a.conf")``."""
    made = CliRunner().invoke(undam, list(args), input=stdin, standalone_mode=False)
    if made.exception is not None:
        raise made.exception
    code = made.return_value if isinstance(made.return_value, int) else made.exit_code
    return CompletedCommand(code, made.stdout, made.stderr, made.stdout_bytes)
