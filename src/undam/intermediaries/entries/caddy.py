"""Caddy."""

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
from undam.versions import CADDY_HEAD_AT_ONCE, CADDY_NO_BUFFER_RESPONSES

_RUN_NEW = measured(
    "2.11.7",
    "scripts/measure-intermediaries caddy --idle 75",
    checked="2026-11",
    source="caddyserver.com, reverse_proxy",
)
_RUN_OLD = measured("2.6.2", "scripts/measure-intermediaries caddy --idle 75", checked="2026-11")
_RULE_TESTS = measured("2.6.2", "pytest tests/live/test_rules_caddy.py", checked="2026-11")
_ENCODE_DOCS = documented(
    "caddyserver.com, encode; audit of the rule CAD102 against 2.11.7", checked="2026-11"
)
_SOURCE = documented(
    "caddyserver/caddy commit 0cf03d32f (read_idle_timeout, write_idle_timeout)", checked="2026-11"
)
_HEAD_CHANGE = documented("caddyserver/caddy#7905 (df44d6c38, 2026-07-31)", checked="2026-11")

ENTRY = Intermediary(
    name="caddy",
    title="Caddy",
    kind="proxy",
    claims=(
        Sign("via", r"\bcaddy\b", evidence=_RUN_NEW),
        Sign("server", r"^caddy\b", evidence=_RUN_OLD),
        Behaviour(
            Aspect.HOLDS,
            (
                "Streams by default. `response_buffers SIZE` of reverse_proxy holds the "
                "first SIZE bytes, or a shorter response until its end. `buffer_responses` "
                "is rejected as unknown."
            ),
            evidence=_RUN_NEW,
            since=CADDY_NO_BUFFER_RESPONSES.since,
        ),
        Behaviour(
            Aspect.HOLDS,
            (
                "Streams by default. `buffer_responses` holds the whole response, "
                "whatever the value of flush_interval."
            ),
            evidence=_RUN_OLD,
            until=CADDY_NO_BUFFER_RESPONSES.since,
        ),
        Behaviour(
            Aspect.HEAD,
            ("The head is sent at once: within 6 ms by 2.6.2 and within 2 ms by 2.11.7."),
            evidence=_RUN_NEW,
        ),
        Behaviour(
            Aspect.HEAD,
            "With `encode` the head waits for the first byte of the body.",
            evidence=_HEAD_CHANGE,
            until=CADDY_HEAD_AT_ONCE.since,
            conditions={"configuration": "encode"},
        ),
        Behaviour(
            Aspect.COMPRESSION, "`encode` flushes each event.", evidence=_ENCODE_DOCS, since="2.9"
        ),
        Behaviour(
            Aspect.COMPRESSION,
            (
                "`encode` streams if the first event is smaller than its minimum of 512 "
                "bytes. With larger events, gzip holds blocks and zstd holds the whole "
                "body."
            ),
            evidence=_RULE_TESTS,
            until="2.9",
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            (
                "There is no limit by default: a stream survives 75 s of silence. A "
                "read_timeout of the transport is an idle limit; its cut is a truncated "
                "body since 2.11.7 and looked like a clean end before."
            ),
            evidence=_RUN_NEW,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            (
                "read_idle_timeout and write_idle_timeout (1 min by default) limit a "
                "single blocked read or write; they do not cut a silent stream."
            ),
            evidence=_SOURCE,
            since="2.11.7",
        ),
        Limit(
            Aspect.CUTS_TOTAL,
            None,
            ("`timeouts { write … }` of the server, if set, limits the whole response."),
            evidence=_RULE_TESTS,
        ),
        Behaviour(
            Aspect.BROKEN_ORIGIN,
            "The client receives a truncated body.",
            evidence=_RUN_NEW,
            since="2.11.7",
        ),
        Behaviour(
            Aspect.BROKEN_ORIGIN,
            (
                "The client receives a clean end that looks complete (measured with "
                "2.6.2). The release that changed this is not known."
            ),
            evidence=_RUN_OLD,
            until="2.11.7",
        ),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            "The origin is notified within 2 ms, even in silence.",
            evidence=_RUN_NEW,
        ),
        Remedy(
            Trouble.HOLD,
            "caddy",
            (
                "flush_interval -1\n"
                "# and no response_buffers (before 2.8: buffer_responses) beside it"
            ),
            evidence=_RUN_NEW,
        ),
        Remedy(Trouble.HEADERS_HELD, "caddy", "flush_interval -1", evidence=_RUN_OLD),
        Remedy(
            Trouble.COMPRESSION,
            "caddy",
            ("encode {\n	gzip\n	match {\n		header Content-Type text/html*\n	}\n}"),
            evidence=_RULE_TESTS,
        ),
    ),
)
