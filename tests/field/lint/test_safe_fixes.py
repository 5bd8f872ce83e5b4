"""nginx accepts the result of every corpus fix that is marked SAFE."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from support.config_files import write
from undam.lint import fix_paths
from undam.lint.discovery import checkers

CORPUS = Path(__file__).parent / "corpus" / "streaming"
FILES = sorted(CORPUS.rglob("*.conf"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]


def runnable(text: str) -> str:
    """Replace host names that do not resolve, and ports that may be in use."""
    text = re.sub(r"(https?://)(?!\$)[\w.-]+(?::\d+)?", r"\g<1>127.0.0.1:9000", text)
    text = re.sub(r"server [\w.-]+:\d+", "server 127.0.0.1:9000", text)
    return re.sub(r"listen \d+", "listen 127.0.0.1:18094", text)


def test_nginx_accepts_every_safe_fix() -> None:
    checked = 0
    for number, file in enumerate(FILES):
        text = file.read_text()
        if "server {" not in text or "include" in text:
            continue
        name = write(f"{number}/{file.name}", text)
        fix_paths(name, write=True)
        fixed = Path(name).read_text()
        Path(name).write_text(runnable(text))
        assert checkers.rejection("nginx", name) is None, file
        Path(name).write_text(runnable(fixed))
        assert checkers.rejection("nginx", name) is None, file
        checked += fixed != text
    assert checked >= 10
