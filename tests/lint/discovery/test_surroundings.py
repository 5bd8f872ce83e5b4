"""Files next to a configuration are found, but only within the folders that the user specified."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.config_files import write
from undam.lint.discovery.surroundings import Surroundings, header_targets
from undam.lint.evidence.neighbours import NO_NEIGHBOURS
from undam.lint.files import STDIN, ConfigFiles
from undam.versions import Version

DOCKERFILE = "FROM nginx:1.30\n"


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w").mkdir()
    monkeypatch.chdir(tmp_path / "w")


def target(path: str, *roots: str) -> Version | None:
    return Surroundings(ConfigFiles(), roots).of(path).targets.get("nginx")


def test_parent_folders_are_searched_up_to_the_working_directory() -> None:
    for name in ("a/b/c/nginx.conf", "a/b/c/d/e/nginx.conf"):
        write(name, "")
    write("Dockerfile", DOCKERFILE)
    assert target("a/b/c/nginx.conf") == Version((1, 30))
    assert target("a/b/c/d/e/nginx.conf") is None
    write("../Dockerfile", DOCKERFILE)
    write("../other/nginx.conf", "")
    assert target("../other/nginx.conf") is None
    assert target("../other/nginx.conf", "..") == Version((1, 30))


def test_standard_input_has_no_surroundings_and_folders_are_read_once() -> None:
    write("Dockerfile", DOCKERFILE)
    surroundings = Surroundings(ConfigFiles(), ())
    assert surroundings.of(STDIN) is NO_NEIGHBOURS
    first = surroundings.of("nginx.conf")
    Path("Dockerfile").unlink()
    assert surroundings.of("haproxy.cfg") is first


def test_files_that_cannot_be_read_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    write("Dockerfile", DOCKERFILE)
    assert target("gone/nginx.conf") == Version((1, 30))
    original = Path.open

    def denied(self: Path, *args: object) -> object:
        if self.name == "Dockerfile":
            raise PermissionError
        return original(self, *args)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", denied)
    assert target("nginx.conf") is None


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("# generated, nginx 1.24.0, intermediate", {"nginx": (1, 24, 0)}),
        ("# Generator\n# HAProxy version 3.0 and nginx/1.22", {"haproxy": (3, 0)}),
        ("# generated\nserver {} # nginx 1.24.0", {}),
        ("# needs nginx 1.13 or newer", {}),
        ("\n" * 20 + "# nginx 1.24", {}),
        ("# generated for nginx", {}),
    ],
)
def test_the_header_of_a_generated_file_names_versions(
    text: str, targets: dict[str, tuple[int, ...]]
) -> None:
    found = {name: version.numbers for name, version in header_targets(text).items()}
    assert found == targets
