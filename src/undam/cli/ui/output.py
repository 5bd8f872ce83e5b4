"""Output of results: JSON to a file or standard output, text to a terminal or a pipe."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from undam.cli.ui.sparkline import ASCII, UNICODE
from undam.errors import UsageError
from undam.json_values import finite_or_none

if TYPE_CHECKING:
    from rich.console import Console

# Value of --json if no file is given.
STDOUT = "-"

# Characters that are legal in JSON, but that a terminal may interpret (C1 and bidirectional
# controls) or that UTF-8 cannot encode (surrogates).
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def json_option(command: Any) -> Any:
    """Add ``--json [FILE]``."""
    return click.option(
        "--json",
        "json_to",
        metavar="[FILE]",
        is_flag=False,
        flag_value=STDOUT,
        default=None,
        help="Write the result as JSON to FILE; without FILE or with '-', print only the JSON.",
    )(command)


def console(*, stderr: bool = False) -> Console:
    """Return a console that obeys NO_COLOR and does not wrap lines."""
    from undam.cli.ui.console import SafeConsole  # noqa: PLC0415 (not needed for --help and errors)

    return SafeConsole(stderr=stderr)


def sparkline_symbols(console_: Console) -> str:
    """Return the sparkline symbols that the output's encoding supports."""
    return UNICODE if "utf" in console_.encoding.lower() else ASCII


def write_json(value: object, to: str) -> None:
    """Write ``value`` to a file (atomically) or to standard output.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, default=str, allow_nan=False) + "\n"
    except ValueError:
        value = finite_or_none(value)
        text = json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"
    text = _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if to != STDOUT:
        write_atomically(to, [text])
        return
    if "utf" not in (sys.stdout.encoding or "").lower():
        text = json.dumps(value, indent=2, default=str) + "\n"
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        from undam.cli.ui.console import discard_stdout  # noqa: PLC0415 (loads rich)

        discard_stdout()


def announce(command: str, url: str, json_to: str | None) -> None:
    """Print the URL of a server, as the first line of output or as JSON.

    Raises:
        UsageError: the file cannot be written.
    """
    if json_to is not None:
        write_json({"schema": 1, "command": command, "url": url}, json_to)
    if json_to != STDOUT:
        click.echo(f"listening on {url}")


def require_writable(path: str, option: str) -> None:
    """Check, before a long run, that its result can be written to ``path``.

    Raises:
        UsageError: the file cannot be written; the message names ``option`` and the reason.
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise UsageError(f"{option} {path}: the path is a directory")
        if _is_special(target):
            return
        import tempfile  # noqa: PLC0415 (large; servers keep it loaded)

        # Try to write, because permission checks are unreliable for root and do not detect quotas
        # or read-only mounts.
        handle, trial = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.resolve().parent)
        os.close(handle)
        Path(trial).unlink()
    except (OSError, ValueError) as error:
        raise UsageError(f"{option} {path}: cannot be written ({_reason(error)})") from None


def write_atomically(path: str, texts: Iterable[str]) -> None:
    """Write a file atomically, so that it is never incomplete.

    A pipe or a device is written to directly. For a symbolic link, the target is replaced.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        if _is_special(Path(path)):
            with Path(path).open("w", encoding="utf-8", errors="replace") as file:
                file.writelines(texts)
        else:
            _replace(Path(path).resolve(), texts)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write {path}: {_reason(error)}") from None


def _replace(target: Path, texts: Iterable[str]) -> None:
    import tempfile  # noqa: PLC0415 (as above)

    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.writelines(texts)
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink(missing_ok=True)
        raise


def _is_special(target: Path) -> bool:
    """Return whether ``target`` is a device, a pipe or a socket, which must not be replaced."""
    return target.exists() and not target.is_file()


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
