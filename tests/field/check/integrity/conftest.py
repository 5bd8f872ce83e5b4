"""Fixture that runs a simulator in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from undam.simulator import Simulator, SimulatorSettings
from undam.timing.distribution import constant


@pytest.fixture(scope="module")
def model_port() -> Iterator[int]:
    """Run a simulator that sends 40 tokens, 5 ms apart."""
    settings = SimulatorSettings(ttft=constant(20), gap=constant(5), tokens=constant(40))
    simulator = Simulator(settings)
    thread = threading.Thread(target=simulator.serve)
    thread.start()
    yield int(simulator.url.rpartition(":")[2])
    simulator.stop()
    thread.join(10)
    assert not thread.is_alive()
