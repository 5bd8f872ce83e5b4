"""What is known of each proxy, CDN, cloud and framework: how it signs, holds, cuts, is mended."""

from undam.intermediaries.habits import suspects_of_cut, suspects_of_hold
from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.intermediaries.recognise import recognise
from undam.intermediaries.registry import INTERMEDIARIES, fix_for, intermediary

__all__ = [
    "INTERMEDIARIES",
    "Intermediary",
    "Sign",
    "Trouble",
    "fix_for",
    "intermediary",
    "recognise",
    "suspects_of_cut",
    "suspects_of_hold",
]
