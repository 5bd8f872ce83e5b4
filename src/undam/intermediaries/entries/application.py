"""The application itself: a handler that holds its own events."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "Flask 3.1 with requests 2.34, Tornado 6.5",
    "undam check of a handler that returns response.content, and of one that never flushes",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="application",
    title="The application itself",
    kind="framework",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "A handler that builds the whole answer before it returns, or that writes without "
                "a flush, sends all events at the end."
            ),
            evidence=_RUN,
        ),
        Remedy(
            Trouble.HOLD,
            "application",
            "yield each event as it is produced and flush it  # do not join them into one answer",
            evidence=_RUN,
        ),
    ),
)
