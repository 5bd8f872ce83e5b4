"""tower-http CompressionLayer."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented("tower-http, compression/predicate.rs", checked="2026-11")

ENTRY = Intermediary(
    name="tower-http",
    title="tower-http CompressionLayer",
    kind="framework",
    claims=(Behaviour(Aspect.COMPRESSION, "Skips event streams by default.", evidence=_SOURCE),),
)
