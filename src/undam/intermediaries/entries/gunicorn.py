"""Gunicorn."""

from __future__ import annotations

from undam.intermediaries.claims import (
    Aspect,
    Behaviour,
    Limit,
    Remedy,
    Sign,
    Trouble,
    documented,
    measured,
)
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "docs.gunicorn.org, timeout and worker_class; gunicorn 27.0.1", checked="2026-11"
)
_RUN = measured("27.0.1", "scripts/measure-intermediaries gunicorn", checked="2026-11")

ENTRY = Intermediary(
    name="gunicorn",
    title="Gunicorn",
    kind="server",
    claims=(
        Sign("server", r"^gunicorn\b(/(?P<version>\d[\d.]{0,15}))?", evidence=_RUN),
        Behaviour(
            Aspect.HOLDS, "A sync worker sends each item of the iterable at once.", evidence=_RUN
        ),
        Limit(
            Aspect.CUTS_TOTAL,
            30,
            "A sync worker is killed after 30 s in one request.",
            evidence=_DOCS,
            conditions={"configuration": "sync worker"},
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            "A stream whose reader stalls for 30 s is reset.",
            evidence=_DOCS,
            conditions={"http_version": "2 with the asgi worker"},
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "gunicorn",
            'worker_class = "gevent"  # or "asgi" for an ASGI application',
            evidence=_DOCS,
        ),
    ),
)
