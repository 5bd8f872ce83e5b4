"""UD3xx: stream content that client libraries cannot parse."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD301",
        slug="heartbeat-breaks-clients",
        severity=Severity.WARNING,
        message="the stream contains {form}, which {clients} cannot read",
        what="""
            The stream contains lines that the standard allows but that some client libraries cannot
            read.
        """,
        why="""
            When such a heartbeat arrives, the client raises a JSONDecodeError and loses the answer.
            Heartbeats are sent only during silence, so the failure appears in production but not in
            tests.
        """,
        detection="""
            The bytes of an OpenAI-style stream are checked for patterns that are known to crash
            clients. Streams of other APIs are not examined.
        """,
        measured="""
            openai-python 3.54 and langchain-openai 1.7 fail on a block with only `retry:`, on
            `event: ping` without data, on an empty `data:`, and on a comment in a block of its own
            after any earlier `id:` line. httpx-sse 0.4.3 yields an empty event for each heartbeat
            after an id. Documented: openai-go before 3.43 fails on any comment block. A reader that
            calls json.loads(line[6:]) fails on any comment.
        """,
        fix="""
            On an OpenAI-style stream, send heartbeats only as comments, between events, and only
            while the stream is idle. Do not send an `id:` line, a block with only `retry:`, or a
            named ping. In a stream without ids, send a comment and a blank line. In a stream with
            ids, send one comment line with a single newline, so that the comment belongs to the
            next event:

                : ping
        """,
        source="""
            WHATWG HTML 9.2.6: a block without data is not dispatched, so clients that fail on it do
            not follow the standard.
        """,
    ),
)
