"""Confinement of MCP tool processes: no access to files outside the root, and limited memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from undam.cli.commands.mcp.confinement import audit_hook

PROGRAM = """
import resource, sys
from undam.cli.commands.mcp.confinement import audit_hook, limit_resources
limit_resources(5)
assert resource.getrlimit(resource.RLIMIT_AS)[0] <= 4 << 30
root, writable, outside = sys.argv[1:]
sys.addaudithook(audit_hook(root, writable))
def refused(action):
    try:
        action()
    except PermissionError:
        return True
    return False
import os, pathlib
assert open(f"{root}/a.conf").read() == "a"
assert refused(lambda: open(f"{root}/link"))
assert refused(lambda: open(outside))
assert refused(lambda: pathlib.Path(outside).read_text())
assert refused(lambda: os.listdir("/etc"))
assert refused(lambda: list(os.scandir("/")))
assert refused(lambda: open(f"{root}/a.conf", "a"))
assert refused(lambda: os.open(f"{root}/new", os.O_WRONLY | os.O_CREAT))
open(f"{writable}/report", "w").close()
import csv, xml.dom.minidom
print("done")
"""


def test_a_process_reads_below_the_root_and_writes_in_its_own_folder(tmp_path: Path) -> None:
    root, writable = tmp_path / "root", tmp_path / "own"
    root.mkdir()
    writable.mkdir()
    (root / "a.conf").write_text("a")
    outside = tmp_path / "secret"
    outside.write_text("s")
    (root / "link").symlink_to(outside)
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(root), str(writable), str(outside)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_settings_above_the_root_can_be_read() -> None:
    hook = audit_hook("/srv/project/deploy", "/tmp/own")
    hook("open", ("/srv/project/undam.toml", "r", 0))
    hook("open", ("/srv/pyproject.toml", None, os.O_RDONLY))
    hook("open", (3, "r", 0))
    hook("socket.connect", ("/etc/passwd",))
    for event, *arguments in (
        ("open", "/srv/project/undam.toml", "w", 0),
        ("open", "/srv/project/.env", "r", 0),
        ("open", "/srv/project/deployment/a", "r", 0),
        ("open", b"/etc/passwd", "r", 0),
        ("open", "/srv/project/deploy/a", None, os.O_RDWR),
        ("os.listdir", "/srv/project"),
    ):
        with pytest.raises(PermissionError):
            hook(event, tuple(arguments))
