"""Go net/http server."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "pkg.go.dev, net/http, Server.WriteTimeout and ResponseController", checked="2026-11"
)

ENTRY = Intermediary(
    name="go-net-http",
    title="Go net/http server",
    kind="server",
    claims=(
        Limit(
            Aspect.CUTS_TOTAL,
            None,
            ("WriteTimeout, if set, limits the whole response, not a single write."),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "go",
            "http.NewResponseController(w).SetWriteDeadline(time.Time{})",
            evidence=_DOCS,
            since="1.20",
        ),
    ),
)
