"""Fixtures for command-line tests: subprocesses and certificates."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme

from support.certificates import Certificates
from support.undam_command import (
    TIMEOUT_S,
    RunCommand,
    StartCommand,
    command_line,
    environment,
    run_undam,
)


@pytest.fixture
def run() -> RunCommand:
    """Return a function that runs an undam command as a subprocess (see `run_undam`)."""
    return run_undam


@pytest.fixture
def start() -> Iterator[StartCommand]:
    """Return a function that starts an undam command; the process is killed after the test."""
    running: list[subprocess.Popen[bytes]] = []

    def call(*args: str, env: dict[str, str] | None = None, **more: Any) -> subprocess.Popen[bytes]:
        given = {
            "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
            **more,
        }  # fmt: skip
        process = subprocess.Popen(command_line(*args), env=environment(**(env or {})), **given)
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
    """Return certificates issued by a new certificate authority."""
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
