"""Console for all terminal output. It loads rich, so it is imported only when text is printed."""

from __future__ import annotations

import os
import sys
from typing import Any

from rich.console import Console

from undam.cli.ui.sanitize import sanitize


class SafeConsole(Console):
    """Rich console that prints text unchanged: no markup, no wrapping, no control characters.

    NO_COLOR disables every escape sequence, not only color. After a broken pipe (``| head``) the
    console is silent, and the exit code is still that of the command.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(
            stderr=stderr,
            highlight=False,
            soft_wrap=True,
            emoji=False,
            markup=False,
            color_system=None if os.environ.get("NO_COLOR") else "auto",
        )

    def print(self, *objects: Any, **style: Any) -> None:
        """Print ``objects`` like rich, but escape control characters in strings."""
        safe = (sanitize(item, keep="\n\t") if isinstance(item, str) else item for item in objects)
        super().print(*safe, **style)

    def on_broken_pipe(self) -> None:
        """Continue without output. Rich itself would exit with a different code."""
        self.quiet = True
        discard_stdout()


def discard_stdout() -> None:
    """Redirect standard output to /dev/null, so that the flush at exit cannot fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
