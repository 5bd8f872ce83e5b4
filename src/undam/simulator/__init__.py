"""A simulated model server with a known schedule, used to verify the other tools."""

from undam.simulator.server import Simulator
from undam.simulator.settings import BodyFraming, SimulatorSettings

__all__ = ["BodyFraming", "Simulator", "SimulatorSettings"]
