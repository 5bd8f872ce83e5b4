"""Where results go: JSON to a file or standard output, words to a terminal or a pipe."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from undam.cli.picture import ASCII, UNICODE
from undam.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

# --json without a value; a file of that name would be odd enough.
STDOUT = "-"


def json_option(command: Any) -> Any:
    """Add ``--json [FILE]``."""
    return click.option(
        "--json",
        "json_to",
        metavar="[FILE]",
        is_flag=False,
        flag_value=STDOUT,
        default=None,
        help="Write the result as JSON to FILE; '-' or nothing is standard output, alone.",
    )(command)


def console(*, stderr: bool = False) -> Console:
    """A console that obeys NO_COLOR and never wraps what goes into a pipe."""
    from rich.console import Console  # noqa: PLC0415 (--help and errors do without)

    made = Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False, markup=False)
    made.soft_wrap = True
    return made


def marks(console_: Console) -> str:
    """The picture's characters that this output can show."""
    return UNICODE if "utf" in console_.encoding.lower() else ASCII


def write_json(value: object, to: str) -> None:
    """Write ``value`` to a file, whole or not at all, or to standard output."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"
    if to == STDOUT:
        sys.stdout.write(text.encode("utf-8", "replace").decode())
        sys.stdout.flush()
    else:
        write_whole(to, [text])


def write_whole(path: str, texts: Iterable[str]) -> None:
    """Write a file so that it is there complete or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    target = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.writelines(texts)
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
