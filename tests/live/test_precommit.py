"""The hooks in .pre-commit-hooks.yaml, run by pre-commit in a temporary repository.

They use the undam of this environment (``language: system``), because installing it from the hooks'
repository would need the network.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from support.live import skip_or_fail
from support.undam_command import environment
from undam.lab.proxies import Missing

ROOT = Path(__file__).parents[2]
BAD = (ROOT / "tests" / "rules" / "NGX101" / "bad.conf").read_text("utf-8")
FIXED = (ROOT / "tests" / "rules" / "NGX101" / "fixed.conf").read_text("utf-8")


class Scratch:
    """Temporary repository with configuration files, and a second repository with the hooks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "scratch"
        self._home = folder / "home"
        hooks = folder / "hooks"
        for one in (self.folder, hooks):
            one.mkdir()
            self._git(one, "init", "-q")
        known = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
        assert [hook["id"] for hook in known] == ["undam-lint", "undam-fix"]
        assert {hook["language"] for hook in known} == {"python"}
        text = yaml.safe_dump([{**hook, "language": "system"} for hook in known])
        (hooks / ".pre-commit-hooks.yaml").write_text(text)
        self._git(hooks, "add", "-A")
        self._git(hooks, "commit", "-qm", "hooks")
        self._hooks = (str(hooks), self._git(hooks, "rev-parse", "HEAD").strip())

    def use(self, hook: str) -> None:
        """Configure pre-commit to use one hook."""
        url, revision = self._hooks
        config = {"repos": [{"repo": url, "rev": revision, "hooks": [{"id": hook}]}]}
        (self.folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))

    def commit(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Stage everything and run the hooks as a commit would."""
        self._git(self.folder, "add", "-A")
        return self._run(self.folder, sys.executable, "-m", "pre_commit", "run", *args)

    def _git(self, folder: Path, *args: str) -> str:
        done = self._run(folder, "git", *args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        names = {f"GIT_{who}_{what}": "a@b.test" for who in ("AUTHOR", "COMMITTER")
                 for what in ("NAME", "EMAIL")}  # fmt: skip
        env = environment(PATH=programs, PRE_COMMIT_HOME=str(self._home), **names)
        # Variables set by a surrounding git process would redirect the hooks to the wrong
        # repository.
        for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "PYTHONWARNINGS"):
            env.pop(name, None)
        return subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    if importlib.util.find_spec("pre_commit") is None:
        skip_or_fail(Missing("pre-commit", "pip install pre-commit"))
    made = Scratch(tmp_path)
    # Files that are not configurations are ignored, regardless of their names.
    (made.folder / "compose.yaml").write_text("services: {}\n")
    (made.folder / "undam.toml").write_text("heartbeat = 15\n")
    (made.folder / "nginx.md").write_text(BAD)
    (made.folder / "picture.conf").write_bytes(b"\0\1\2")
    return made


def test_lint_stops_a_commit_until_the_stream_is_free(scratch: Scratch) -> None:
    scratch.use("undam-lint")
    file = scratch.folder / "deploy" / "nginx.conf"
    file.parent.mkdir()
    file.write_text(BAD)
    said = scratch.commit()
    assert said.returncode == 1, said.stdout + said.stderr
    assert "deploy/nginx.conf:10:13 NGX101 proxy-buffering-on" in said.stdout
    assert "nginx.md" not in said.stdout
    file.write_text(FIXED)
    said = scratch.commit()
    assert (said.returncode, "Passed" in said.stdout) == (0, True), said.stdout


def test_fix_mends_what_is_staged_and_passes_the_second_time(scratch: Scratch) -> None:
    scratch.use("undam-fix")
    file = scratch.folder / "nginx.conf"
    file.write_text(BAD)
    said = scratch.commit()
    assert said.returncode == 1, said.stdout + said.stderr
    assert "files were modified by this hook" in said.stdout
    assert file.read_text() == FIXED
    said = scratch.commit()
    assert (said.returncode, "Passed" in said.stdout) == (0, True), said.stdout


def test_broken_configuration_stops_a_commit_with_its_place(scratch: Scratch) -> None:
    scratch.use("undam-lint")
    (scratch.folder / "nginx.conf").write_text("http {\n")
    said = scratch.commit()
    assert said.returncode == 1
    assert "nginx.conf:1:1: " in said.stdout


def test_commit_without_configurations_starts_nothing(scratch: Scratch) -> None:
    scratch.use("undam-lint")
    assert "Skipped" in scratch.commit("--files", "nginx.md").stdout
