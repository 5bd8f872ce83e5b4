"""What one intermediary is known for, as data. Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from undam.rules import Fix

Kind = Literal["cdn", "cloud", "proxy", "framework"]
"""Where it usually stands, outermost first."""

Evidence = Literal["measured", "documented"]


class Trouble(StrEnum):
    """What can be wrong at a hop and can be mended there."""

    HOLD = "hold"
    """Events wait for a full buffer, a timer or the end of the response."""
    HEADERS_HELD = "headers-held"
    """The response head waits for the first body byte."""
    COMPRESSION = "compression"
    """The stream is compressed without a flush after each event."""
    ONE_LATE = "one-late"
    """Each event is held until the next one comes."""
    CLOSE_DELIMITED = "close-delimited"
    """The body ends only with the connection, so framing cannot tell an end from a cut."""
    IDLE_LIMIT = "idle-limit"
    """A stream that is silent for some seconds is cut; a heartbeat helps."""
    TOTAL_LIMIT = "total-limit"
    """A stream is cut some seconds after its start; a heartbeat does not help."""
    CANCEL = "cancel"
    """The origin is not told that the client has left."""
    EATS_X_ACCEL = "eats-x-accel"
    """X-Accel-Buffering is obeyed and removed, so the next nginx further out holds."""
    HIDES_CUT = "hides-cut"
    """A stream that the origin broke off reaches the client as an orderly end."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One way in which an intermediary shows itself in a response head.

    Args:
        header: its name, lower case. `via` is matched one element at a time.
        pattern: regular expression searched in the value, case-insensitive. No unbounded
            repetition, so that a hostile value costs no more than its length.
        certain: whether nothing else sends it. An uncertain sign is dropped where an
            intermediary built on this one signs too.
    """

    header: str
    pattern: str = ""
    certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Intermediary:
    """One proxy, CDN, cloud service or framework that a stream can pass through.

    Args:
        name: the short word used in reports.
        signs: empty where it leaves no mark on a relayed response.
        holds: what it holds by default, and when.
        cuts: its limits, and what ends a stream.
        fixes: per trouble, the exact lines that mend it; a trouble without a known cure is absent.
        idle_limit_s: default limit on silence, seconds; ``None`` where none is known.
        total_limit_s: default limit on the whole response, seconds; ``None`` where none is known.
        evidence: "measured" by running it, or "documented" by its vendor and not run.
        version: of the program that was measured; empty for a service.
        source: whose word it is.
        origin_lost: what the client sees when the origin breaks off in mid-stream.
        client_left: how the origin learns that the client has gone.
        built_on: name of the intermediary inside it, whose marks it may carry.
    """

    name: str
    title: str
    kind: Kind
    signs: tuple[Sign, ...]
    holds: str
    cuts: str
    fixes: Mapping[Trouble, Fix]
    evidence: Evidence
    source: str
    version: str = ""
    idle_limit_s: float | None = None
    total_limit_s: float | None = None
    origin_lost: str = ""
    client_left: str = ""
    built_on: str = ""
