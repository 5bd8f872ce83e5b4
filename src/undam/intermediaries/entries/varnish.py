"""Varnish Cache."""

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

_RUN = measured(
    "7.1.1",
    "scripts/measure-intermediaries varnish --idle 75",
    checked="2026-11",
    source="varnish-cache.org, VCL variables",
)
_RULE_TESTS = measured("7.1.1", "pytest tests/live/test_rules_varnish.py", checked="2026-11")
_SOURCE = documented("varnishcache/varnish-cache 8.0.0 (2026-02-12), params.h", checked="2026-11")

ENTRY = Intermediary(
    name="varnish",
    title="Varnish Cache",
    kind="proxy",
    note="The project continues as Vinyl Cache (vinyl-cache.org); its signs were not checked.",
    claims=(
        Sign("x-varnish", evidence=_RUN),
        Sign("via", r"\(varnish/(?P<version>\d[\d.]{0,15})?", evidence=_RUN),
        Sign("via", r"\bvarnish\b", certain=False, evidence=_RUN),
        Behaviour(
            Aspect.HOLDS,
            (
                "Streams by default and with return(pipe). beresp.do_stream = false or "
                "do_esi holds the whole response and adds a Content-Length."
            ),
            evidence=_RUN,
        ),
        Behaviour(
            Aspect.COMPRESSION,
            ("do_gzip sends headers immediately, and then the gzip output in blocks of 16 KB."),
            evidence=_RULE_TESTS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            60,
            "`between_bytes_timeout` cuts a stream after 60 s of silence.",
            evidence=_SOURCE,
        ),
        Behaviour(Aspect.BROKEN_ORIGIN, "The client receives a truncated body.", evidence=_RUN),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            "A disconnect is detected only at the origin's next write.",
            evidence=_RUN,
        ),
        Remedy(Trouble.HOLD, "varnish", "set beresp.do_stream = true;", evidence=_RULE_TESTS),
        Remedy(
            Trouble.HEADERS_HELD, "varnish", "set beresp.do_stream = true;", evidence=_RULE_TESTS
        ),
        Remedy(Trouble.COMPRESSION, "varnish", "set beresp.do_gzip = false;", evidence=_RULE_TESTS),
        Remedy(
            Trouble.IDLE_LIMIT,
            "varnish",
            "set bereq.between_bytes_timeout = 3600s;",
            evidence=_RULE_TESTS,
        ),
    ),
)
