"""An intermediary with its claims, and summaries of the claims for reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from undam.intermediaries.claims import (
    Aspect,
    Behaviour,
    Claim,
    EvidenceKind,
    Limit,
    Remedy,
    Sign,
    Trouble,
)
from undam.rules import Fix
from undam.versions import Version

Kind = Literal[
    "cdn", "cloud", "tunnel", "gateway", "proxy", "inspector", "filter", "framework", "server",
    "client",
]  # fmt: skip
"""Usual position in a path, outermost first."""

UNKNOWN = "No source found."


@dataclass(frozen=True, slots=True, kw_only=True)
class Intermediary:
    """A proxy, CDN, cloud service, gateway, framework, server or client that handles streams.

    Args:
        name: the short name used in reports.
        title: the full name.
        kind: its usual position in a path.
        claims: all known facts; for each aspect, the newest version and the default case first.
        built_on: name of the intermediary inside it, whose fingerprints it may carry.
        note: status of the project, for instance that it is retired.
    """

    name: str
    title: str
    kind: Kind
    claims: tuple[Claim, ...]
    built_on: str = ""
    note: str = ""

    def at(self, version: Version) -> Intermediary:
        """Return the same entry, with only the claims that apply to ``version``."""
        return replace(self, claims=tuple(one for one in self.claims if one.holds_for(version)))

    def about(self, *aspects: Aspect) -> tuple[Claim, ...]:
        """Return the claims about these aspects, in the order of the aspects."""
        return tuple(one for aspect in aspects for one in self.claims if one.about is aspect)

    def limits(self, aspect: Aspect) -> tuple[Limit, ...]:
        """Return the limits of one kind, for all versions and conditions."""
        return tuple(one for one in self.claims if isinstance(one, Limit) and one.aspect is aspect)

    def fix_of(self, trouble: Trouble, version: Version | None = None) -> Fix | None:
        """Return the lines that fix ``trouble`` in ``version``.

        Without a version, return the lines for the newest version that has any.
        """
        known = [one for one in self.claims if isinstance(one, Remedy) and one.trouble is trouble]
        fitting = [one for one in known if one.holds_for(version)]
        if version is None:
            fitting += known
        return fitting[0].fix if fitting else None

    @property
    def signs(self) -> tuple[Sign, ...]:
        """Fingerprints of the intermediary; empty if it adds none to a relayed response."""
        return tuple(one for one in self.claims if isinstance(one, Sign))

    @property
    def holds(self) -> str:
        """Description of the default buffering."""
        return _sentences(self.about(Aspect.HOLDS, Aspect.HEAD, Aspect.COMPRESSION)) or UNKNOWN

    @property
    def cuts(self) -> str:
        """Description of the time limits."""
        return _sentences(self.about(Aspect.CUTS_IDLE, Aspect.CUTS_TOTAL)) or UNKNOWN

    @property
    def origin_lost(self) -> str:
        """Description of the response if the origin breaks off in the middle of a stream."""
        return _sentences(self.about(Aspect.BROKEN_ORIGIN))

    @property
    def client_left(self) -> str:
        """Description of how the origin learns of a client disconnect."""
        return _sentences(self.about(Aspect.CLIENT_LEAVES))

    @property
    def fixes(self) -> Mapping[Trouble, Fix]:
        """Fix for each problem; if it depends on the version, the fix for the newest version."""
        known: dict[Trouble, Fix] = {}
        for one in self.claims:
            if isinstance(one, Remedy):
                known.setdefault(one.trouble, one.fix)
        return known

    @property
    def idle_limit_s(self) -> float | None:
        """Default idle timeout in seconds; ``None`` if no value is known."""
        return _default_s(self.limits(Aspect.CUTS_IDLE))

    @property
    def total_limit_s(self) -> float | None:
        """Default limit on the whole response in seconds; ``None`` if no value is known."""
        return _default_s(self.limits(Aspect.CUTS_TOTAL))

    @property
    def evidence(self) -> EvidenceKind:
        """Basis of the entry: "measured" if any claim was measured, otherwise "documented"."""
        kinds = {one.evidence.kind for one in self.claims}
        return "measured" if "measured" in kinds else "documented"

    @property
    def version(self) -> str:
        """Measured versions, in the order of the claims."""
        return ", ".join(_distinct(one.evidence.version for one in self.claims))

    @property
    def source(self) -> str:
        """Sources of all claims."""
        parts = (part for one in self.claims for part in one.evidence.source.split("; "))
        return "; ".join(_distinct(parts))

    @property
    def checked(self) -> str:
        """Year and month of the oldest check among the claims."""
        return min(one.checked for one in self.claims)


def _sentences(claims: Iterable[Claim]) -> str:
    """Return the texts of claims, each preceded by the versions and conditions of the claim."""
    return " ".join(f"{scope_of(one)}{one.text}" for one in claims
                    if isinstance(one, Behaviour | Limit))  # fmt: skip


_CONDITION_TEXTS = {"configuration": "with {}", "http_version": "over HTTP/{}", "platform": "on {}"}


def scope_of(claim: Claim) -> str:
    """Return the versions and conditions as a prefix such as ``From 1.29.7: ``; may be empty."""
    parts = [
        _CONDITION_TEXTS.get(key, f"{key} {{}}").format(value)
        for key, value in claim.conditions.items()
    ]
    if claim.since or claim.until:
        parts.insert(0, str(claim.versions))
    scope = ", ".join(parts)
    return f"{scope[0].upper()}{scope[1:]}: " if scope else ""


def _default_s(limits: tuple[Limit, ...]) -> float | None:
    return limits[0].seconds if limits else None


def _distinct(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]
