"""curl."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured("curl of Debian 12", "curl URL in a pipe, with and without -N", checked="2026-11")

ENTRY = Intermediary(
    name="curl",
    title="curl",
    kind="client",
    claims=(
        Behaviour(Aspect.HOLDS, "Without -N, output into a pipe is held in blocks.", evidence=_RUN),
        Remedy(Trouble.HOLD, "curl", "curl -N", evidence=_RUN),
    ),
)
