"""Lazy exports: a name is imported on first use and then stored in the package."""

from __future__ import annotations

import subprocess
import sys

import pytest

import undam.probe
import undam.wire


def test_import_does_not_load_the_submodules() -> None:
    program = (
        "import sys, undam.wire, undam.probe\n"
        "prefixes = 'undam.wire.', 'undam.probe.'\n"
        "loaded = [name for name in sys.modules if name.startswith(prefixes)]\n"
        "print(loaded)\n"
        "undam.wire.ClientConfig\n"
        "print('undam.wire.config' in sys.modules, 'ClientConfig' in vars(undam.wire))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == ["[]", "True True"]


@pytest.mark.parametrize("package", [undam.wire, undam.probe])
def test_all_names_exist(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert getattr(package, name) is not None


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match=r"module 'undam\.wire' has no attribute 'nothing'"):
        undam.wire.nothing  # noqa: B018
