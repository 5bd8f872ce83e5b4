"""Process that has imported `undam` and runs each command in a forked child process.

A new Python process needs about half a second for its imports, and most tests of the command line
start one. A fork starts in milliseconds and otherwise behaves like a new process: it has its own
environment, folder, standard streams and signal handlers, and ends through the interpreter's exit.
"""

from __future__ import annotations

import array
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_TESTS = Path(__file__).parents[1]
_MAX_BYTES = 1 << 20
# The server's interpreter read these variables at its start, so a command cannot change them.
_INTERPRETER = ("PYTHON", "LC_", "LANG")


class CommandServer:
    """Client that starts one command server per test process, when the first command is run."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._interpreter = _of_interpreter(environment)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.pathsep.join([str(_TESTS), environment.get("PYTHONPATH", "")])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.command_server", str(theirs.fileno())],
                env={**environment, "PYTHONPATH": path}, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def can_run(self, environment: dict[str, str]) -> bool:
        """Return whether a new interpreter would behave the same way with this environment."""
        return _of_interpreter(environment) == self._interpreter

    def run(
        self, args: tuple[str, ...], environment: dict[str, str], folder: str, stdin: bytes,
        timeout_s: float,
    ) -> tuple[int, bytes, bytes]:  # fmt: skip
        """Run ``undam ARGS`` and return its exit code and output.

        Raises:
            TimeoutExpired: the command was killed after ``timeout_s``.
        """
        request = json.dumps([args, environment, folder]).encode()
        with tempfile.TemporaryFile() as given, ThreadPoolExecutor(2) as readers:
            given.write(stdin)
            given.seek(0)
            (out, to_out), (err, to_err) = os.pipe(), os.pipe()
            socket.send_fds(self._socket, [request], [given.fileno(), to_out, to_err])
            os.close(to_out)
            os.close(to_err)
            written = [readers.submit(_read, number) for number in (out, err)]
            pid = int(self._receive(timeout_s, args))
            try:
                code = int(self._receive(timeout_s, args))
            except subprocess.TimeoutExpired:
                os.kill(pid, signal.SIGKILL)
                self._receive(timeout_s, args)
                raise
            return code, written[0].result(), written[1].result()

    def _receive(self, timeout_s: float, args: tuple[str, ...]) -> bytes:
        self._socket.settimeout(timeout_s)
        try:
            return self._socket.recv(100)
        except TimeoutError:
            raise subprocess.TimeoutExpired(["undam", *args], timeout_s) from None

    def close(self) -> None:
        """Stop the server."""
        self._socket.close()
        self._process.wait(10)


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb") as pipe:
        return pipe.read()


def _of_interpreter(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_INTERPRETER)}


def _serve(control: socket.socket) -> tuple[list[str], dict[str, str], str] | None:
    """Fork for each request; return the request in the child, and ``None`` in the server."""
    size = array.array("i").itemsize
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, _MAX_BYTES, 3 * size)
        if not request:
            control.close()
            return None
        pid = os.fork()
        if pid == 0:
            control.close()
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
                os.close(descriptor)
            args, environment, folder = json.loads(request)
            return args, environment, folder
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        control.send(str(os.waitstatus_to_exitcode(status)).encode())


def _main() -> None:
    from undam.cli.main import main, undam  # noqa: PLC0415 (the client does not need them)

    for name in undam.list_commands(None):  # type: ignore[arg-type]
        undam.get_command(None, name)  # type: ignore[arg-type]
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    if request is None:
        return
    args, environment, folder = request
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    _replace_streams()
    sys.argv = ["undam", *args]
    main()


def _replace_streams() -> None:
    """Create text streams for the new descriptors; the old streams may contain buffered text."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        new = io.TextIOWrapper(
            open(number, "wb" if number else "rb", closefd=False),  # noqa: SIM115
            encoding=old.encoding, errors=old.errors, line_buffering=number == 2,
        )  # fmt: skip
        setattr(sys, name, new)


if __name__ == "__main__":
    _main()
