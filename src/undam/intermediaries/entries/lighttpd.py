"""lighttpd."""

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
from undam.versions import LIGHTTPD_INCREMENTAL

_RUN = measured(
    "1.4.69",
    "scripts/measure-intermediaries lighttpd --idle 75",
    checked="2026-11",
    source="redmine.lighttpd.net, server.stream-response-body",
)
_RULE_TESTS = measured("1.4.69", "pytest tests/live/test_rules_lighttpd.py", checked="2026-11")
_SOURCE = documented(
    "lighttpd 1.4.85 (2026-07-15), commit 3d30de28 (2025-10-29)", checked="2026-11"
)

ENTRY = Intermediary(
    name="lighttpd",
    title="lighttpd",
    kind="proxy",
    claims=(
        Sign("server", r"^lighttpd\b(/(?P<version>\d[\d.]{0,15}))?", evidence=_RUN),
        Behaviour(
            Aspect.HOLDS, "Holds the whole response and adds a Content-Length.", evidence=_RUN
        ),
        Behaviour(
            Aspect.HOLDS,
            (
                "Honours `Incremental: ?1` from the origin. An explicit "
                "`server.stream-response-body = 0` overrides it, and the response may "
                "then be 501."
            ),
            evidence=_SOURCE,
            since=LIGHTTPD_INCREMENTAL.since,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            (
                "A stream survives 75 s of silence. server.max-write-idle (360 s by "
                "default, documented) and a read-timeout of the proxy cut silent streams, "
                "and heartbeats prevent the cut."
            ),
            evidence=_RULE_TESTS,
        ),
        Behaviour(
            Aspect.BROKEN_ORIGIN,
            (
                "By default, the client receives a 200 with a matching Content-Length. "
                "With streaming, the body is truncated."
            ),
            evidence=_RUN,
        ),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            (
                "By default, a disconnect is never detected. With streaming, it is "
                "detected only at the origin's next write."
            ),
            evidence=_RUN,
        ),
        Remedy(Trouble.HOLD, "lighttpd", "server.stream-response-body = 1", evidence=_RUN),
        Remedy(Trouble.HEADERS_HELD, "lighttpd", "server.stream-response-body = 1", evidence=_RUN),
        Remedy(Trouble.CANCEL, "lighttpd", "server.stream-response-body = 1", evidence=_RUN),
        Remedy(Trouble.HIDES_CUT, "lighttpd", "server.stream-response-body = 1", evidence=_RUN),
    ),
)
