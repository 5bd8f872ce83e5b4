"""Helper that runs a command with a pseudo-terminal as standard error."""

from __future__ import annotations

import os
import pty
import threading

from support.undam_command import TIMEOUT_S, StartCommand


def on_terminal(start: StartCommand, *args: str, **env: str) -> tuple[int, str, str]:
    """Run a command with a pseudo-terminal as its standard error.

    Returns:
        Exit code, standard output (a pipe), and the text that the terminal received.
    """
    master, slave = pty.openpty()
    received = bytearray()

    def read() -> None:
        try:
            while data := os.read(master, 4096):
                received.extend(data)
        except OSError:
            return

    process = start(*args, stderr=slave, env={"TERM": "xterm-256color", **env})
    os.close(slave)
    reader = threading.Thread(target=read)
    reader.start()
    out, _ = process.communicate(timeout=TIMEOUT_S)
    reader.join(TIMEOUT_S)
    os.close(master)
    return process.returncode, out.decode(), received.decode()
