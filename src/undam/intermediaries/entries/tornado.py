"""Tornado."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Sign, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured("6.5", "undam check of a handler with and without flush()", checked="2026-11")

ENTRY = Intermediary(
    name="tornado",
    title="Tornado",
    kind="framework",
    claims=(
        Sign("server", r"^TornadoServer/(?P<version>\d[\d.]{0,15})", evidence=_RUN),
        Behaviour(
            Aspect.HOLDS,
            (
                "RequestHandler.write() collects the whole response, which gets a Content-Length, "
                "unless flush() is called."
            ),
            evidence=_RUN,
        ),
        Remedy(
            Trouble.HOLD,
            "tornado",
            "self.write(event)\nawait self.flush()",
            evidence=_RUN,
        ),
    ),
)
