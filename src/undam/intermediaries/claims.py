"""Claims about an intermediary, each with versions, evidence and the date of the last check."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from undam.rules import Fix
from undam.versions import Version, VersionRange

EvidenceKind = Literal["measured", "documented"]


class Aspect(StrEnum):
    """Subject of a claim."""

    HOLDS = "holds"
    """Conditions under which events are held, and their release."""
    HEAD = "head"
    """Time at which the response head is sent, relative to the first byte of the body."""
    COMPRESSION = "compression"
    """Compression of streams, and the delay that it causes."""
    CUTS_IDLE = "cuts-idle"
    """An idle timeout; heartbeats prevent the cut."""
    CUTS_TOTAL = "cuts-total"
    """A limit on the whole response; heartbeats do not help."""
    BROKEN_ORIGIN = "broken-origin"
    """The response that the client receives if the origin breaks off in the middle of a stream."""
    CLIENT_LEAVES = "client-leaves"
    """Notification of the origin about a client disconnect."""
    SIGNS = "signs"
    """A fingerprint in the response head."""
    FIX = "fix"
    """Lines of configuration or code that fix a problem."""


class Trouble(StrEnum):
    """A fault at a hop that a change at this hop or at the origin can fix."""

    HOLD = "hold"
    """Events wait for a full buffer, a timer or the end of the response."""
    HEADERS_HELD = "headers-held"
    """The response head waits for the first body byte."""
    COMPRESSION = "compression"
    """The stream is compressed without a flush after each event."""
    ONE_LATE = "one-late"
    """Each event is held until the next one arrives."""
    CLOSE_DELIMITED = "close-delimited"
    """The body ends with the connection, so an end cannot be distinguished from a cut."""
    IDLE_LIMIT = "idle-limit"
    """A stream that is silent for some seconds is cut; a heartbeat helps."""
    TOTAL_LIMIT = "total-limit"
    """A stream is cut some seconds after its start; a heartbeat does not help."""
    CANCEL = "cancel"
    """The origin is not notified of a client disconnect."""
    EATS_X_ACCEL = "eats-x-accel"
    """X-Accel-Buffering is obeyed and removed, so another nginx closer to the client buffers."""
    HIDES_CUT = "hides-cut"
    """A stream that the origin broke off reaches the client as an orderly end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Basis of a claim: a measurement or a document.

    Args:
        kind: "measured" if the program was run, else "documented".
        source: page, file, commit or report; for a measurement, also where it was made.
        checked: year and month of the last check, ``2026-11``.
        version: the release that was measured.
        command: the command of the measurement.
    """

    kind: EvidenceKind
    source: str
    checked: str
    version: str = ""
    command: str = ""

    def __str__(self) -> str:
        if self.kind == "documented":
            return f"documented, checked {self.checked}: {self.source}"
        return f"measured {self.checked} with {self.version}: {self.command}"


def measured(version: str, command: str, *, checked: str, source: str = "") -> Evidence:
    """Return evidence from running ``command`` with ``version``, and optionally from ``source``."""
    where = f"measured on loopback; {source}" if source else "measured on loopback"
    return Evidence(
        kind="measured", source=where, checked=checked, version=version, command=command
    )


def documented(source: str, *, checked: str) -> Evidence:
    """Return evidence from ``source`` alone; the product was not run."""
    return Evidence(kind="documented", source=source, checked=checked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(ABC):
    """Base class of all claims.

    Args:
        evidence: its basis, with the date of the check.
        since: first version to which it applies; empty for no lower bound.
        until: first version to which it no longer applies; empty for no upper bound.
        conditions: further conditions, such as ``plan``, ``endpoint`` or ``http_version``.
    """

    evidence: Evidence
    since: str = ""
    until: str = ""
    conditions: Mapping[str, str] = field(default_factory=dict)

    @property
    @abstractmethod
    def about(self) -> Aspect:
        """Subject of the claim."""
        ...

    @property
    def checked(self) -> str:
        """Year and month of the last check."""
        return self.evidence.checked

    @property
    def versions(self) -> VersionRange:
        """Versions to which the claim applies."""
        return VersionRange(self.since, self.until)

    def holds_for(self, version: Version | None) -> bool:
        """Return whether the claim applies to ``version``; ``None`` stands for the newest one."""
        return not self.until if version is None else self.versions.overlaps(version)


@dataclass(frozen=True, slots=True)
class Behaviour(Claim):
    """How an intermediary treats streams, in one or two sentences."""

    aspect: Aspect
    text: str

    @property
    def about(self) -> Aspect:
        """Subject of the claim."""
        return self.aspect


@dataclass(frozen=True, slots=True)
class Limit(Claim):
    """Default time limit.

    Args:
        aspect: ``CUTS_IDLE`` or ``CUTS_TOTAL``.
        seconds: the default; ``None`` if there is none, or if it is not known.
    """

    aspect: Aspect
    seconds: float | None
    text: str

    @property
    def about(self) -> Aspect:
        """Subject of the claim."""
        return self.aspect


TLS_ISSUER, BODY = ":tls-issuer", ":body"
"""Pseudo-headers of signs: the issuer of the certificate, and the beginning of the body."""


@dataclass(frozen=True, slots=True)
class Sign(Claim):
    """Fingerprint that an intermediary leaves in a response.

    Args:
        header: its name, lower case, or a pseudo-header. `via` is matched one element at a time.
        pattern: regular expression searched in the value, case-insensitive. It has no unbounded
            repetition, so that a hostile value costs no more than its length. A group named
            ``version`` gives the version.
        certain: whether nothing else sends it. An uncertain sign is ignored if an
            intermediary built on this one is recognised as well.
    """

    header: str
    pattern: str = ""
    certain: bool = True

    @property
    def about(self) -> Aspect:
        """Subject of the claim."""
        return Aspect.SIGNS


@dataclass(frozen=True, slots=True)
class Remedy(Claim):
    """The exact lines that fix a problem, and the product in whose configuration they belong."""

    trouble: Trouble
    where: str
    text: str

    @property
    def about(self) -> Aspect:
        """Subject of the claim."""
        return Aspect.FIX

    @property
    def fix(self) -> Fix:
        """The fix in the form that findings use."""
        return Fix(self.where, self.text)
