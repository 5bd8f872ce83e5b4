"""A real engine with speculative decoding is `streaming`; multi-token steps are only INFO."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.engine_server import engine_server
from support.undam_command import run_undam

pytestmark = [pytest.mark.live, pytest.mark.slow]

# The engine copies drafts from the text so far, so a repetitive prompt yields long drafts.
REPEATING = "ba de ki lo mu na po ri su te " * 14


def test_llama_cpp_with_drafts_of_16_is_streaming_with_its_steps_as_info(tmp_path: Path) -> None:
    with engine_server(tmp_path, draft=16) as url:
        chat = f"{url}/v1/chat/completions"
        report = run_undam("check", chat, "--prompt", REPEATING, "--json", timeout_s=120).json
    assert report["verdict"] == "streaming", report
    found = {one["code"]: one for one in report["findings"]}
    assert found["UD503"]["severity"] == "info"
    counts = found["UD503"]["evidence"]["events_per_burst"]
    assert int(counts.split()[-1]) > 5, "some steps are longer than those of the old bound"
    assert not [one for one in report["findings"] if one["severity"] == "error"]
