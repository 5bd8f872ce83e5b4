"""The action and the hooks execute nothing from the repository; their dependencies are pinned."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from packaging.requirements import Requirement

from support.undam_command import environment

ROOT = Path(__file__).parents[3]
LOCKS = ROOT / "deploy" / "locks"

# Modules that Python, venv, pip or undam import. A repository could contain any of these modules.
PLANTED = (
    "venv.py", "logging.py", "pip/__init__.py", "pip/__main__.py", "sitecustomize.py", "undam.py",
    "usercustomize.py", "click.py", "yaml.py", "re.py", "typing.py", "hatchling/build.py",
    "undam/__init__.py", "undam/__main__.py", "ensurepip/__init__.py", "subprocess.py",
)  # fmt: skip
# Build backend without dependencies. It installs a module named undam that prints its search path.
BACKEND = """
import zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "undam-1-py3-none-any.whl"
    info = "undam-1.dist-info/"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("undam/__init__.py", "")
        wheel.writestr("undam/__main__.py", "import sys; print(sys.path, sys.argv)")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: undam\\nVersion: 1\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\n"
                       "Tag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Checked-out repository whose modules create a file when they are executed."""
    folder = tmp_path / "repository"
    for name in PLANTED:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        trace = tmp_path / f"executed-{name.replace('/', '-')}"
        file.write_text(f"open({str(trace)!r}, 'w').close()\nraise SystemExit(3)\n")
    (folder / "nginx.conf").write_text("events{}\nhttp{}\n")
    (folder / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:1/\n")
    return folder


def executed(tmp_path: Path) -> list[str]:
    return sorted(file.name for file in tmp_path.glob("executed-*"))


def action() -> dict[str, Any]:
    definition = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    assert isinstance(definition, dict)
    return definition


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_action_executes_nothing_of_the_repository(repository: Path, tmp_path: Path) -> None:
    source, temporary = tmp_path / "source", tmp_path / "temporary"
    (source / "deploy" / "locks").mkdir(parents=True)
    (source / "deploy" / "locks" / "action.txt").write_text("# nothing to install\n")
    (source / "backend.py").write_text(BACKEND)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    temporary.mkdir()
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    for step in action()["runs"]["steps"][1:]:
        where = step.get("working-directory")
        assert where in {None, "${{ runner.temp }}"}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=temporary if where else repository,
            env=environment(
                RUNNER_TEMP=str(temporary), SOURCE=str(source), PATHS=".", ARGS="",
                PATH=f"{programs}:{os.environ['PATH']}", PYTHONPATH=str(repository),
            ),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert executed(tmp_path) == []
        assert done.returncode == 0, done.stdout + done.stderr
    assert str(repository) not in done.stdout
    assert "'lint', '--format', 'github', '--', '.'" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("hook", ["undam-lint", "undam-fix"])
def test_the_hooks_execute_nothing_of_the_repository(
    repository: Path, tmp_path: Path, hook: str
) -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    entry = next(one["entry"] for one in hooks if one["id"] == hook).split()
    assert entry[:4] == ["python", "-I", "-m", "undam"]
    done = subprocess.run(
        [sys.executable, *entry[1:], "nginx.conf"],
        cwd=repository, env=environment(PYTHONPATH="."),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert executed(tmp_path) == []
    assert done.returncode == 0, done.stderr


def test_actions_are_pinned_by_commit() -> None:
    used = [step["uses"] for step in action()["runs"]["steps"] if "uses" in step]
    workflows = ROOT / ".github" / "workflows"
    for file in workflows.glob("*.y*ml") if workflows.is_dir() else ():
        used += re.findall(r"uses:\s*(\S+)", file.read_text("utf-8"))
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one) for one in used)


def test_images_are_pinned_by_digest() -> None:
    for file in (ROOT / "deploy").glob("**/*Dockerfile"):
        images = re.findall(r"(?m)^FROM (\S+)", file.read_text("utf-8"))
        assert images
        assert all(re.search(r"@sha256:[0-9a-f]{64}\Z", one) for one in images)


def locked(name: str) -> dict[str, str]:
    """Return the locked versions by package name; every package must have a hash."""
    versions: dict[str, str] = {}
    text = (LOCKS / name).read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = re.match(r"([\w.-]+)==(\S+)", line)
        assert found is not None, line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line
        versions[found[1].lower().replace("_", "-").replace(".", "-")] = found[2]
    return versions


@pytest.mark.parametrize(
    ("name", "extras"), [("action.txt", ()), ("gateway.txt", ("gateway", "otel"))]
)
def test_the_locks_cover_the_dependencies(name: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in extras:
        wanted += project["project"]["optional-dependencies"][extra]
    versions = locked(name)
    for text in wanted:
        requirement = Requirement(text)
        key = requirement.name.lower().replace("_", "-").replace(".", "-")
        assert key in versions, f"{text}: run scripts/lock"
        assert requirement.specifier.contains(versions[key], prereleases=True), text
