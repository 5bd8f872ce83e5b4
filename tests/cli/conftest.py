"""The real command line as a process of its own, and certificates for it."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from support.undam_process import (
    TIMEOUT_S,
    Certificates,
    CompletedCommand,
    RunCommand,
    StartCommand,
    environment,
)


@pytest.fixture
def run() -> RunCommand:
    """``run("check", URL, …, env={…}, stdin=b"")``: the finished command; no traceback ever."""

    def call(
        *args: str, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> CompletedCommand:
        done = subprocess.run(
            [sys.executable, "-m", "undam", *args],
            env=environment(**(env or {})),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        ran = CompletedCommand(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in ran.out + ran.err, ran.err
        return ran

    return call


@pytest.fixture
def start() -> Iterator[StartCommand]:
    """``start("check", …)``: a running command, which is killed if the test leaves it."""
    running: list[subprocess.Popen[bytes]] = []

    def call(*args: str, env: dict[str, str] | None = None, **more: Any) -> subprocess.Popen[bytes]:
        given = {
            "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
            **more,
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "undam", *args], env=environment(**(env or {})), **given
        )
        running.append(process)
        return process

    yield call
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait(TIMEOUT_S)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert("client@undam.test").private_key_and_cert_chain_pem.write_to_path(
        folder / "client.pem"
    )

    def server(*names: str, strict: bool = False, **more: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(*names, **more).configure_cert(context)
        if strict:
            ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    yesterday = datetime.now(UTC) - timedelta(days=1)
    return Certificates(
        str(folder / "ca.pem"),
        str(folder / "client.pem"),
        server("127.0.0.1"),
        server("elsewhere.test"),
        server("127.0.0.1", not_after=yesterday),
        server("127.0.0.1", strict=True),
    )
