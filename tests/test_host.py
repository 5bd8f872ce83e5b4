"""The host name is anonymous, and is the same for all processes during one boot."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from undam.host import host_name
from undam.timing.beacon import BeaconHead, format_head, parse_head


def test_processes_have_the_same_name() -> None:
    program = "from undam.host import host_name; print(host_name())"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.strip() == host_name()


def test_name_fits_a_beacon_header_and_is_anonymous() -> None:
    name = host_name()
    head = BeaconHead("a", 1, name)
    assert parse_head(format_head(head)) == head
    assert re.fullmatch("[0-9a-f]{16}", name)
    assert name != socket.gethostname()


def test_without_proc_the_hostname_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setattr(socket, "gethostname", lambda: "a")
    of_a = host_name()
    monkeypatch.setattr(socket, "gethostname", lambda: "b")
    assert host_name() != of_a
    assert "a" not in (of_a, host_name())
