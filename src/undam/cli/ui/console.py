"""The console that all words go through. Loads rich, so only commands that print import it."""

from __future__ import annotations

import os
import sys
from typing import Any

from rich.console import Console

from undam.cli.ui.sanitize import sanitize


class SafeConsole(Console):
    """Prints text as it is: no markup, no wrapping, nothing that could steer a terminal.

    NO_COLOR takes away every escape sequence, not only those of colour. A reader that leaves
    (``| head``) silences it; the exit code is then still that of the command.
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
        """As rich's own, with the text in ``objects`` made safe."""
        safe = (sanitize(item, keep="\n\t") if isinstance(item, str) else item for item in objects)
        super().print(*safe, **style)

    def on_broken_pipe(self) -> None:
        """Go on without a reader; rich's own ends the program with another exit code."""
        self.quiet = True
        discard_stdout()


def discard_stdout() -> None:
    """Let what is still to be written vanish: the flush at exit must not complain of a pipe."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
