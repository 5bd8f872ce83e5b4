"""Tests for the last step of action.yml, run as GitHub's runner runs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from support.undam_command import environment

ROOT = Path(__file__).parents[2]
BAD = (ROOT / "tests" / "rules" / "NGX101" / "bad.conf").read_text("utf-8")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed"),
]


@pytest.fixture(scope="module")
def action() -> dict[str, Any]:
    definition = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    assert isinstance(definition, dict)
    return definition


def run_step(
    action: dict[str, Any], folder: Path, **inputs: str
) -> subprocess.CompletedProcess[str]:
    step = action["runs"]["steps"][-1]
    values = {name: str(one["default"]) for name, one in action["inputs"].items()} | inputs
    env = {
        name: values[text.removeprefix("${{ inputs.").removesuffix(" }}")]
        for name, text in step["env"].items()
    }
    program = folder / "runner" / "undam" / "bin" / "python"
    program.parent.mkdir(parents=True)
    # The package is installed in the test environment, possibly from another folder.
    program.write_text(
        f'#!/bin/sh\ntest "$1 $2 $3" = "-I -m undam" && shift 3 && '
        f'exec "{sys.executable}" -P -m undam "$@"\n'
    )
    program.chmod(0o755)
    script = folder / "step.sh"
    script.write_text(step["run"])
    work = folder / "work"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=work, env=environment(RUNNER_TEMP=str(folder / "runner"), **env),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_no_script_of_the_composite_action_has_an_expression(
    action: dict[str, Any],
) -> None:
    """With an expression in a script, an input could inject commands."""
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        assert "uses" in step or step["shell"] == "bash"


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, 1),
        ({"paths": "a b\n$(touch evil)\n"}, 2),
        ({"paths": "a b"}, 1),
        ({"args": "--ignore=NGX101\n\n--exclude=x y"}, 0),
        ({"paths": "--help"}, 2),
    ],
)
def test_the_step_annotates_and_has_the_exit_code_of_lint(
    action: dict[str, Any], tmp_path: Path, inputs: dict[str, str], code: int
) -> None:
    file = tmp_path / "work" / "a b" / "nginx.conf"
    file.parent.mkdir(parents=True)
    file.write_text(BAD)
    settings = "heartbeat = 15\ntarget = { nginx = '1.22' }\n"
    (tmp_path / "work" / "undam.toml").write_text(settings)
    result = run_step(action, tmp_path, **inputs)
    assert result.returncode == code, result.stdout + result.stderr
    annotated = "::error file=a b/nginx.conf,line=10," in result.stdout
    assert annotated is (code == 1 or "a b" in inputs.get("paths", ""))
    assert not (tmp_path / "work" / "evil").exists()
