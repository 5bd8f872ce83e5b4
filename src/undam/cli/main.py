"""Entry point of `undam`. A subcommand's module is imported only when the subcommand runs."""

from __future__ import annotations

import importlib
import io
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from undam.errors import UndamError, UsageError
from undam.poller import missing_features

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

EXIT_CLEAN = 0
EXIT_FINDINGS = 1
EXIT_COULD_NOT_RUN = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

# Command name -> (module in undam.cli.commands, summary). The summaries are stored here, so that
# --help does not import the commands.
_COMMANDS = {
    "bench": ("bench", "Measure an endpoint under load and find the cause of slow tokens."),
    "check": ("check", "Find the hop that holds a stream, and the line that fixes it."),
    "compare": ("compare", "Compare two load tests, taking noise into account."),
    "completion": ("completion", "Print the completion script for a shell."),
    "doctor": ("doctor", "Report which features work on this machine."),
    "explain": ("explain", "Explain a finding or the behavior of a proxy."),
    "fix": ("lint.fix", "Fix configurations: print a diff, or write the files."),
    "gateway": ("gateway", "Run a gateway that relays streams without delay."),
    "lab": ("lab", "Run experiments on real proxies."),
    "lint": ("lint", "Find lines in configurations that hold or cut streams."),
    "mcp": ("mcp", "Serve tools for coding agents (Model Context Protocol)."),
    "monitor": ("monitor", "Check targets continuously and report changes."),
    "render": ("render", "Write a proxy configuration that streams."),
    "report": ("report", "Re-analyze a record and print text, JSON, or a page with charts."),
    "rules": ("rules", "List all findings of check, bench and lint."),
    "sim": ("sim", "Run a simulated model server with a known schedule."),
    "tap": ("tap", "Find the hop that holds streams in captured traffic."),
    "watch": ("watch", "Print a stream as it arrives, then a line with timing metrics."),
}


# Commands that measure or generate the timing of streams.
_MEASURING = frozenset({"bench", "check", "gateway", "lab", "sim", "watch"})


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        if cmd_name in _MEASURING and (missing := missing_features()) is not None:
            raise UsageError(f"undam {cmd_name} needs Linux or macOS: {missing}")
        command = importlib.import_module(f"undam.cli.commands.{_COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the matching commands without importing their modules."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 (only for completion)

        found = [
            CompletionItem(name, help=line)
            for name, (_, line) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

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
              help="Print the version and exit.")  # fmt: skip
@click.pass_context
def undam(ctx: click.Context) -> None:
    """Find the buffer that holds your LLM token stream, fix it, and prove it."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(EXIT_COULD_NOT_RUN)


def main() -> NoReturn:
    """Run the command line and exit.

    The exit code is 0 without findings, 1 with findings, 2 if the command could not run, 130 after
    SIGINT and 143 after SIGTERM. In the last three cases standard error has one line with the
    reason.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Escape characters that the output's encoding cannot represent.
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
        _print_error(_usage(error))
    except click.ClickException as error:
        _print_error(error.format_message())
    except UndamError as error:
        _print_error(str(error))
    except (click.Abort, KeyboardInterrupt):
        _print_error("terminated" if signals else "interrupted")
        return EXIT_TERMINATED if signals else EXIT_INTERRUPTED
    except OSError as error:
        _print_error(f"{error.filename or 'the system'}: {error.strerror or error}")
    else:
        return code if isinstance(code, int) else EXIT_CLEAN
    return EXIT_COULD_NOT_RUN


def _usage(error: click.UsageError) -> str:
    text = error.format_message().strip().rstrip(".")
    if text.startswith("Got unexpected extra argument"):
        # The message does not quote the argument, which may be a key from an unquoted header.
        text = "too many arguments; quote values that contain spaces, such as -H 'Name: value'"
    command = error.ctx.command_path if error.ctx is not None else "undam"
    return f"{text} (see {command} --help)"


def _print_error(text: str) -> None:
    """Print ``text`` to standard error as one sanitized line."""
    from undam.cli.ui.sanitize import one_line  # noqa: PLC0415 (only needed for errors)

    try:
        click.echo(f"undam: {one_line(text)}", err=True)
    except OSError:
        return  # Standard error is closed, so nothing can be reported.


@contextmanager
def _terminable() -> Iterator[list[int]]:
    """Make SIGTERM stop a command like Ctrl-C, including the cleanup.

    After SIGTERM, the yielded list contains the number of the signal.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        interrupt = signal.getsignal(signal.SIGINT)
        if callable(interrupt):
            interrupt(signal.SIGINT, frame)
        else:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)
