"""Tornado."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("tornadoweb.org, RequestHandler.write and flush", checked="2026-11")

ENTRY = Intermediary(
    name="tornado",
    title="Tornado",
    kind="framework",
    claims=(
        Sign("server", r"^TornadoServer/(?P<version>\d[\d.]{0,15})", evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "RequestHandler.write() collects the whole response, which gets a Content-Length, "
                "unless flush() is called."
            ),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.HOLD,
            "tornado",
            "self.write(event)\nawait self.flush()",
            evidence=_DOCS,
        ),
    ),
)
