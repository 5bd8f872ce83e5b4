"""The command `undam`. A subcommand's module is imported only when it is called."""

from __future__ import annotations

import importlib
import io
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click

from undam.errors import UndamError

EXIT_CLEAN = 0
EXIT_FINDINGS = 1
EXIT_COULD_NOT_RUN = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

# Name -> (module in undam.cli.commands, summary). Summaries stand here so that --help stays fast.
_COMMANDS = {
    "bench": (
        "bench",
        "Measure an endpoint under load, and say who is to blame.",
    ),
    "check": ("check", "Say which hop holds a stream, and what mends it."),
    "compare": ("compare", "Say whether one load test was faster or slower."),
    "explain": (
        "explain",
        "Say what a finding means, or what is known of a proxy.",
    ),
    "fix": ("lint.fix", "Mend configurations: as a diff, or in place."),
    "gateway": (
        "gateway",
        "Relay streams so that nothing holds or breaks them.",
    ),
    "lab": ("lab", "Show every claim on real proxies."),
    "lint": ("lint", "Say what in configurations holds or cuts a stream."),
    "render": ("render", "Write a configuration that streams."),
    "report": (
        "report",
        "Judge a record again: words, JSON, or a page with charts.",
    ),
    "rules": ("rules", "List what lint and check can find."),
    "sim": ("sim", "Run a model server with a known schedule."),
    "watch": ("watch", "Show a stream as it comes, with one line of timing."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(f"undam.cli.commands.{_COMMANDS[cmd_name][0]}").command
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


@click.group(
    cls=_Lazy,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
              help="Print the version.")  # fmt: skip
@click.pass_context
def undam(ctx: click.Context) -> None:
    """Find what dams your LLM token stream, free it, and prove it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(EXIT_COULD_NOT_RUN)


def main() -> NoReturn:
    """Run the command line.

    Exits 0 clean, 1 findings, 2 could not run, 130 interrupted, 143 terminated; in the last three
    cases with one line on standard error that says why.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the output's encoding lacks is shown as its escape.
        sys.stdout.reconfigure(errors="backslashreplace")
    with _terminable() as signals:
        code = _run(signals)
    sys.exit(code)


def _run(signals: list[int]) -> int:
    try:
        code = undam.main(prog_name="undam", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.UsageError as error:
        _complain(_usage(error))
    except click.ClickException as error:
        _complain(error.format_message())
    except UndamError as error:
        _complain(str(error))
    except (click.Abort, KeyboardInterrupt):
        _complain("terminated" if signals else "interrupted")
        return EXIT_TERMINATED if signals else EXIT_INTERRUPTED
    except OSError as error:
        _complain(f"{error.filename or 'the system'}: {error.strerror or error}")
    else:
        return code if isinstance(code, int) else EXIT_CLEAN
    return EXIT_COULD_NOT_RUN


def _usage(error: click.UsageError) -> str:
    text = error.format_message().strip().rstrip(".")
    if text.startswith("Got unexpected extra argument"):
        # What follows is not repeated: it may be a key from an unquoted header.
        text = "too many arguments; a value with spaces needs quotes, as -H 'Name: value'"
    command = error.ctx.command_path if error.ctx is not None else "undam"
    return f"{text} (see {command} --help)"


def _complain(text: str) -> None:
    """One line on standard error, whatever the text holds."""
    from undam.cli.ui.sanitize import one_line  # noqa: PLC0415 (only when something is wrong)

    try:
        click.echo(f"undam: {one_line(text)}", err=True)
    except OSError:
        return  # nobody reads it


@contextmanager
def _terminable() -> Iterator[list[int]]:
    """Let SIGTERM stop a command as Ctrl-C does, with all that is to be put in order; the list
    then holds the signal."""
    got: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        got.append(number)
        interrupt = signal.getsignal(signal.SIGINT)
        if callable(interrupt):
            interrupt(signal.SIGINT, frame)
        else:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield got
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield got
    finally:
        signal.signal(signal.SIGTERM, before)
