"""A simulated model server with a known schedule, whose ground truth verifies the other tools."""

from undam.simulator.server import Simulator
from undam.simulator.settings import BodyFraming, SimulatorSettings

__all__ = ["BodyFraming", "Simulator", "SimulatorSettings"]
