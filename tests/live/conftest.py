"""Fixtures for live tests: simulators with a known schedule, and real proxies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.live import RunProxy, Simulator, proxies, skip_or_fail, start_simulator
from undam.lab.proxies import Missing, RunningProxy


@pytest.hookimpl(tryfirst=True)  # This must run before pytest applies -m "not live".
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.live)


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """Start ``undam sim`` with the given arguments on a free port: ``simulator("--gap", "25")``."""
    running: list[Simulator] = []

    def run(*arguments: str) -> Simulator:
        started = start_simulator(tmp_path, *arguments, number=len(running))
        running.append(started)
        return started

    yield run
    for one in running:
        one.stop()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Run ``undam sim`` with default settings, shared by one module: 120 tokens, 25 ms apart."""
    started = start_simulator(tmp_path_factory.mktemp("model"))
    yield started
    started.stop()


@pytest.fixture
def run_proxy() -> Iterator[RunProxy]:
    """Start a proxy that is stopped after the test: ``run_proxy(start_nginx, upstream, …)``.

    If its program is not installed, the test is skipped; in CI it fails.
    """
    with proxies() as start_one:

        def run(*arguments: object, **settings: object) -> RunningProxy:
            try:
                return start_one(*arguments, **settings)
            except Missing as missing:
                skip_or_fail(missing)

        yield run
