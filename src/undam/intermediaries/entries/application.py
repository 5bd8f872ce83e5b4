"""The application itself, with a handler that holds its own events."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "requests.readthedocs.io, response.content; PEP 3333, a server sends each item of the iterable",
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
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.HOLD,
            "application",
            "yield each event as it is produced and flush it  # do not join them into one answer",
            evidence=_DOCS,
        ),
    ),
)
