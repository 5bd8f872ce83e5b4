"""The llama.cpp HTTP server with a tiny random model, as a subprocess."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.live import skip_or_fail
from undam.lab.proxies import Missing

_ROOT = Path(__file__).parents[2]
_PYTHON = _ROOT / ".venv-engine" / "bin" / "python"


@contextmanager
def engine_server(folder: Path, *, draft: int = 0) -> Iterator[str]:
    """Run the server and yield its URL; skip the test if llama.cpp is not installed.

    Args:
        draft: longest draft of the speculative decoder; 0 for none.
    """
    if not (_ROOT / ".venv-engine" / "installed.txt").exists():
        skip_or_fail(Missing("llama.cpp's server", "scripts/install-engine"))
    with (folder / "engine.log").open("wb") as log:
        process = subprocess.Popen(
            [_PYTHON, _ROOT / "scripts" / "engine" / "serve.py", folder, str(draft)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on "), (folder / "engine.log").read_text()
        yield line.split()[-1]
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.stdout.close()
