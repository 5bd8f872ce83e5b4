"""Django GZipMiddleware."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented("django 5.2.19, 6.0.10 and 6.1.3, utils/text.py:402", checked="2026-11")

ENTRY = Intermediary(
    name="django-gzip",
    title="Django GZipMiddleware",
    kind="framework",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            "Synchronous streams are compressed and flushed per item.",
            evidence=_SOURCE,
            since="6.1",
        ),
        Behaviour(
            Aspect.HOLDS,
            (
                "Synchronous streams are compressed without a flush and held; "
                "asynchronous ones are sent item by item."
            ),
            evidence=_SOURCE,
            until="6.1",
        ),
        Remedy(
            Trouble.HOLD, "django", "django>=6.1  # or an asynchronous iterator", evidence=_SOURCE
        ),
        Remedy(
            Trouble.COMPRESSION,
            "django",
            "django>=6.1  # or an asynchronous iterator",
            evidence=_SOURCE,
        ),
    ),
)
