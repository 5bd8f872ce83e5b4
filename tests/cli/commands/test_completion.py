"""`undam completion`: scripts that each shell accepts, and completion without slow imports."""

from __future__ import annotations

import importlib
import shutil
import subprocess

import click
import pytest
from click.shell_completion import ShellComplete

from support.undam_command import environment, invoke
from undam.cli.main import undam


def completions(*before: str, incomplete: str) -> list[str]:
    made = ShellComplete(undam, {}, "undam", "_UNDAM_COMPLETE")
    return [item.value for item in made.get_completions(list(before), incomplete)]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_calls_undam_to_complete(shell: str) -> None:
    done = invoke("completion", shell)
    assert done.code == 0
    assert f"_UNDAM_COMPLETE={shell}_complete" in done.out
    assert invoke("completion", shell, "--json").json["text"] == done.out.rstrip("\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_accepts_the_script(shell: str) -> None:
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not installed")
    script = invoke("completion", shell).out
    done = subprocess.run(
        [program, "-n", "/dev/stdin"],
        input=script, env=environment(), capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_shell_is_refused() -> None:
    with pytest.raises(click.UsageError, match="tcsh"):
        invoke("completion", "tcsh")


def test_commands_options_and_choices_are_completed() -> None:
    assert completions(incomplete="ch") == ["check"]
    assert completions(incomplete="") == undam.list_commands(click.Context(undam))
    assert "--http2" in completions("check", incomplete="--ht")
    assert completions("completion", incomplete="f") == ["fish"]


def test_names_of_commands_are_completed_without_their_modules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr(importlib, "import_module", refuse)
    assert completions(incomplete="b") == ["bench"]
