"""uWSGI."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "uwsgi-docs.readthedocs.io, HTTP router options; not checked again since", checked="2026-11"
)

ENTRY = Intermediary(
    name="uwsgi",
    title="uWSGI",
    kind="server",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            ("A body without a length ends with the connection. No source states that it is held."),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            60,
            "`http-timeout` cuts a stream after 60 s of silence.",
            evidence=_DOCS,
        ),
        Remedy(Trouble.CLOSE_DELIMITED, "uwsgi", "http-auto-chunked = true", evidence=_DOCS),
        Remedy(Trouble.IDLE_LIMIT, "uwsgi", "http-timeout = 3600", evidence=_DOCS),
    ),
)
