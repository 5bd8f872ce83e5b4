"""Facts about proxies, CDNs, clouds, gateways, frameworks, servers and clients that handle streams.

Each entry is a list of claims: when it holds events, when it cuts a stream, how it is recognised,
and which configuration fixes it. Every claim has the versions to which it applies, its evidence,
and the date of the check.
"""

from undam.intermediaries.claims import (
    Aspect,
    Behaviour,
    Claim,
    Evidence,
    Limit,
    Remedy,
    Sign,
    Trouble,
)
from undam.intermediaries.habits import suspects_of_cut, suspects_of_hold
from undam.intermediaries.intermediary import Intermediary, Kind
from undam.intermediaries.recognise import recognise, versions_of
from undam.intermediaries.registry import INTERMEDIARIES, fix_for, intermediary
from undam.intermediaries.schema import problems_of

__all__ = [
    "INTERMEDIARIES",
    "Aspect",
    "Behaviour",
    "Claim",
    "Evidence",
    "Intermediary",
    "Kind",
    "Limit",
    "Remedy",
    "Sign",
    "Trouble",
    "fix_for",
    "intermediary",
    "problems_of",
    "recognise",
    "suspects_of_cut",
    "suspects_of_hold",
    "versions_of",
]
