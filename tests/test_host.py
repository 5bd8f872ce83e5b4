"""One name for all processes of a boot, that tells nothing of the host."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from undam.host import host_name
from undam.timing.beacon import BeaconHead, format_head, parse_head


def test_two_processes_give_the_same_name() -> None:
    program = "from undam.host import host_name; print(host_name())"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.strip() == host_name()


def test_it_fits_into_a_beacon_head_and_shows_neither_name_nor_boot_id() -> None:
    name = host_name()
    head = BeaconHead("a", 1, name)
    assert parse_head(format_head(head)) == head
    assert re.fullmatch("[0-9a-f]{16}", name)
    assert name != socket.gethostname()


def test_without_proc_the_hosts_own_name_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setattr(socket, "gethostname", lambda: "a")
    of_a = host_name()
    monkeypatch.setattr(socket, "gethostname", lambda: "b")
    assert host_name() != of_a
    assert "a" not in (of_a, host_name())
