"""LiteLLM proxy in front of an origin, run from the virtual environment .venv-peers/litellm.

It has an environment of its own because of its hundred packages.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from undam.lab.proxies import Missing, NotStarted

_START_S = 90.0
# Prevent downloads. No key is needed, because the proxy listens only on loopback.
_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
}
_BIN = Path(__file__).parents[1] / ".venv-peers" / "litellm" / "bin" / "litellm"


@contextlib.contextmanager
def start_litellm(origin: str) -> Iterator[tuple[str, int]]:
    """Start LiteLLM; yield its URL and its process group ID.

    Raises:
        Missing: LiteLLM is not installed.
        NotStarted: it did not start.
    """
    if not _BIN.exists():
        install = f"python3 -m venv {_BIN.parents[1]} && {_BIN.parent}/pip install 'litellm[proxy]'"
        raise Missing("litellm", install)
    with socket.socket() as finder, tempfile.TemporaryDirectory() as folder:
        finder.bind(("127.0.0.1", 0))
        port = finder.getsockname()[1]
        finder.close()
        params = {"model": "openai/bench", "api_base": f"{origin}/v1", "api_key": "none"}
        config = Path(folder) / "config.yaml"  # JSON is YAML
        models = [{"model_name": "bench", "litellm_params": params}]
        config.write_text(json.dumps({"model_list": models}))
        process = subprocess.Popen(
            [_BIN, "--config", config, "--host", "127.0.0.1", "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,
        )
        try:
            _wait_until_listening(process, port)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.kill()
            process.wait()


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    give_up = time.monotonic() + _START_S
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise NotStarted(f"LiteLLM exited with code {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise NotStarted(f"litellm did not listen within {_START_S:g} s")
