"""A model server with a known schedule: what it sends, and when, is the truth of every test."""

from undam.simulator.server import Simulator
from undam.simulator.settings import Framing, SimulatorSettings

__all__ = ["Framing", "Simulator", "SimulatorSettings"]
