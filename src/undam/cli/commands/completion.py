"""`undam completion`: print the completion script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from undam.cli.main import EXIT_CLEAN, undam
from undam.cli.ui.output import STDOUT, json_option, write_json

# The shell sets this variable when it calls undam to complete a command line.
_VARIABLE = "_UNDAM_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def command(shell: str, json_to: str | None) -> int:
    """Print the completion script for a shell.

    \b
    bash:  undam completion bash > ~/.local/share/bash-completion/completions/undam
    zsh:   undam completion zsh > "${fpath[1]}/_undam"
    fish:  undam completion fish > ~/.config/fish/completions/undam.fish
    """
    text = script(shell)
    if json_to is not None:
        row = {"schema": 1, "command": "completion", "shell": shell, "text": text}
        write_json(row, json_to)
    if json_to != STDOUT:
        click.echo(text)
    return EXIT_CLEAN


def script(shell: str) -> str:
    """Return the completion script for ``shell``."""
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(undam, {}, "undam", _VARIABLE)
    # For bash, click's `source()` starts bash to check its version. Printing the script does not
    # require this.
    return (made.source_template % made.source_vars()).strip()
