"""A simulated model server with a known schedule; its ground truth checks the other tools."""

from undam.simulator.server import Simulator
from undam.simulator.settings import Framing, SimulatorSettings

__all__ = ["Framing", "Simulator", "SimulatorSettings"]
