"""The command `undam`. A subcommand's module is imported only when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from undam.errors import UndamError

EXIT_CLEAN = 0
EXIT_FINDINGS = 1
EXIT_COULD_NOT_RUN = 2
EXIT_INTERRUPTED = 130

# Name -> (module, one line). The line stands here so that --help imports no command.
_COMMANDS = {
    "check": ("undam.cli.check", "Say which hop holds a stream, and what mends it."),
    "explain": ("undam.cli.explain", "Say what a finding means, or what is known of a proxy."),
    "lab": ("undam.cli.lab", "Show every claim on real proxies."),
    "sim": ("undam.cli.sim", "Run a model server with a known schedule."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        from undam import __version__  # noqa: PLC0415 (reading metadata is slow)

        click.echo(f"undam {__version__}")
        ctx.exit()


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
              help="Print the version.")  # fmt: skip
def undam() -> None:
    """Find what dams your LLM token stream, free it, and prove it."""


def main() -> NoReturn:
    """Run the command line; exits 0 clean, 1 findings, 2 could not run, 130 interrupted."""
    try:
        code = undam.main(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        code = exit_.exit_code
    except click.ClickException as error:
        error.show()
        code = EXIT_COULD_NOT_RUN
    except UndamError as error:
        click.echo(f"undam: {error}", err=True)
        code = EXIT_COULD_NOT_RUN
    except (click.Abort, KeyboardInterrupt):
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has left (`| head`); the flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_CLEAN
    sys.exit(code if isinstance(code, int) else EXIT_CLEAN)
