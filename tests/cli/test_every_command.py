"""Properties that every command must have, including commands added later."""

from __future__ import annotations

import click
import pytest

from undam.cli.main import undam


@pytest.mark.parametrize("name", undam.list_commands(click.Context(undam)))
def test_results_can_be_had_as_json(name: str) -> None:
    command = undam.get_command(click.Context(undam), name)
    assert command is not None
    options = {text for parameter in command.params for text in parameter.opts}
    # `undam lint` also accepts `--format json`.
    assert "--json" in options
    assert command.help
