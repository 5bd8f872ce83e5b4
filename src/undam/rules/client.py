"""Knob 3: what readers choke on."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD301",
        slug="heartbeat-breaks-clients",
        severity=Severity.WARNING,
        message="the stream has {form}, which {clients} cannot read",
        what="""
            Something in the stream that is no token, legal by the standard, and a client dies of
            it.
        """,
        why="""
            The answer ends in a JSONDecodeError in the reader, and only in silent moments, when the
            heartbeat is sent: in production and not in the test.
        """,
        detection="""
            By the bytes of an OpenAI-style stream, against the forms that were seen to crash
            clients. Streams of other APIs are not judged.
        """,
        measured="""
            openai-python 3.54 and langchain-openai 1.7 fail on a block with only `retry:`, on
            `event: ping` without data, on an empty `data:`, and on a comment in a block of its own
            after any earlier `id:` line. httpx-sse 0.4.3 yields an empty event for each heartbeat
            once an id was seen. Documented: openai-go before 3.43 dies of any comment block. A
            reader that does json.loads(line[6:]) dies of any comment at all.
        """,
        fix="""
            On an OpenAI-style stream: comments only, between events, only while the stream is idle;
            no `id:`, no lone `retry:`, no named ping. Safe without ids: a comment and a blank line.
            Where ids are in use: one comment line with a single newline, which then belongs to the
            next event:
                : ping
        """,
        source="""
            WHATWG HTML 9.2.6: a block without data is not dispatched, so these clients err; but
            they are the ones in use.
        """,
    ),
)
