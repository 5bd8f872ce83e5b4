"""A simulated model server with a known schedule; its ground truth checks the other tools."""

from undam.simulator.server import Simulator
from undam.simulator.settings import BodyFraming, SimulatorSettings

__all__ = ["BodyFraming", "Simulator", "SimulatorSettings"]
