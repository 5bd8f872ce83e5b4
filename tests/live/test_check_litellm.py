"""Test case check/06: the real LiteLLM as the outer hop, in front of a model server.

LiteLLM has many dependencies that conflict with those of other tests, so it is not installed with
them. The test runs if LITELLM names the program, or if it is in the path.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.live import CHAT, Simulator
from support.undam_command import environment, run_undam

pytestmark = pytest.mark.slow

_START_S = 300.0
KEY = "sk-litellm-master"
CONFIG = """
model_list:
  - model_name: alias
    litellm_params: {{model: openai/real-name, api_base: "{url}/v1", api_key: sk-inner}}
general_settings: {{master_key: {key}}}
"""


@pytest.fixture
def litellm(simulator: Callable[..., Simulator], tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Run LiteLLM in front of a simulator; return both URLs."""
    program = os.environ.get("LITELLM") or shutil.which("litellm")
    if program is None:
        pytest.skip("litellm is not installed")
    model = simulator()
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(url=model.url, key=KEY))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)],
        env=environment(LITELLM_LOCAL_MODEL_COST_MAP="True", PYTHONWARNINGS="ignore"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url)
        yield url, model.url
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_ready(url: str) -> None:
    give_up = time.monotonic() + _START_S
    while time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(f"{url}/health/liveliness", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail("LiteLLM did not start")


def test_both_hops_have_a_verdict(litellm: tuple[str, str]) -> None:
    edge, model = litellm
    done = run_undam(
        "check", edge + CHAT, "-H", f"Authorization: Bearer {KEY}",
        "--hop", f"model={model + CHAT}", "--json",
    )  # fmt: skip
    hops = {hop["name"]: hop for hop in done.json["hops"]}
    assert "UD617" not in done.codes, done.out
    assert [hop["events"] for hop in hops.values()] == [120, 120]
    assert hops["model"]["verdict"] == "streaming"
    assert hops["edge"]["verdict"] in {"streaming", "unknown"}
    assert KEY not in done.out


def test_holds_are_exact_through_litellm(litellm: tuple[str, str]) -> None:
    edge, model = litellm
    done = run_undam(
        "check", edge + CHAT, "-H", f"Authorization: Bearer {KEY}",
        "--hop", f"model={model + CHAT}", "--beacon", "--json",
    )  # fmt: skip
    for hop in done.json["hops"]:
        assert hop["hold_is_exact"] is True, done.out
        assert hop["hold_ms"] is not None
        assert hop["integrity"]["sent"] == 120, hop
        assert hop["integrity"]["received"] == 120
        assert hop["integrity"]["lost"] == hop["integrity"]["torn"] == 0
