"""Facts about how proxies, CDNs, clouds, gateways, frameworks, servers and clients handle streams.

Each entry is a list of claims about one intermediary: when it holds events, when it cuts a stream,
how it is recognised, and which configuration fixes a problem. Every claim has the versions to which
it applies, its evidence, and the date of the check.
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
from undam.intermediaries.habits import suspects_of_cut
from undam.intermediaries.intermediary import Intermediary, Kind
from undam.intermediaries.recognise import recognise, signatures_of, unknown_via, versions_of
from undam.intermediaries.registry import INTERMEDIARIES, fix_for, intermediary
from undam.intermediaries.schema import problems_of
from undam.intermediaries.suspects import HoldEvidence, Suspect, rank_suspects

__all__ = [
    "INTERMEDIARIES",
    "Aspect",
    "Behaviour",
    "Claim",
    "Evidence",
    "HoldEvidence",
    "Intermediary",
    "Kind",
    "Limit",
    "Remedy",
    "Sign",
    "Suspect",
    "Trouble",
    "fix_for",
    "intermediary",
    "problems_of",
    "rank_suspects",
    "recognise",
    "signatures_of",
    "suspects_of_cut",
    "unknown_via",
    "versions_of",
]
