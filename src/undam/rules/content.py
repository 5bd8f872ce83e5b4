"""UD6xx: events that did not arrive as they were sent."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

_FIND_THE_HOP = """
            First find the hop that causes the fault. With `undam sim` or `undam.asgi.Beacon` at the
            origin, the check measures each hop exactly:

                undam check URL --beacon --hop inner=http://INNER/v1/chat/completions
"""

RULES = (
    Rule(
        code="UD611",
        slug="events-lost",
        severity=Severity.ERROR,
        message="{count} of {events} events are missing; the first is {first} (from {source})",
        what="Events that the server sent did not arrive, although the stream continued.",
        why="""
            Words are missing from the middle of the answer, or the arguments of a tool call are
            invalid. Nothing else reveals the loss: the stream continues and ends correctly.
        """,
        detection="""
            With a beacon, each event contains a number. Without a beacon, the check uses the
            `sequence_number` of OpenAI's Responses API, the `index` of TGI's events, or event IDs
            that count up. If an inner hop was measured, the check also compares the answers of both
            hops to the same prompt. The comparison counts only if the answers are otherwise equal,
            and its result is a warning. Events missing at the end of a broken stream are reported
            as UD601 or UD602. `undam tap` compares the events on both sides of a proxy, but only in
            streams that were captured completely.
        """,
        causes="""
            A relay parses each read separately and drops an event that is split across two reads. A
            bounded queue drops events when it is full. A parser keeps only the last event of each
            read.
        """,
        measured="""
            maximhq/bifrost issue 597 (2025): half of the Bedrock streams lacked chunks. vLLM issues
            30099 and 28635 (2025): tokens were missing only when streaming.
        """,
        fix=_FIND_THE_HOP
        + """
            If your relay must parse events, buffer an unfinished event until its blank line
            arrives. Otherwise, forward bytes instead of parsed events:

                async for data in upstream.aiter_raw():
                    yield data
        """,
    ),
    Rule(
        code="UD612",
        slug="events-duplicated",
        severity=Severity.ERROR,
        message="{count} of {events} events arrived twice; the first is {first} (from {source})",
        what="The same event arrived more than once.",
        why="""
            Words appear twice in the answer, and tool-call arguments are not valid JSON.
        """,
        detection="""
            The sequence numbers of the events are compared, as for UD611. Without numbers, only two
            patterns count as duplicates: all events arrive in equal pairs, or equal events arrive
            together while all others arrive one by one. A token that the model itself repeats
            arrives after the usual time, so it does not count as a duplicate. `undam tap` compares
            the events on both sides of a proxy.
        """,
        causes="""
            One reader subscribes twice to the same source. A retry resends events that had already
            been forwarded. Middleware is installed twice and writes each chunk twice.
        """,
        measured="LuthienResearch/luthien-proxy issue 61 (2025): each token arrived twice.",
        fix=_FIND_THE_HOP
        + """
            In your own relay, retry a request only if no byte of its response has been forwarded.
        """,
    ),
    Rule(
        code="UD613",
        slug="events-reordered",
        severity=Severity.ERROR,
        message="{count} of {events} events arrived out of order; the first is {first} "
        "(from {source})",
        what="Events arrived in a different order from the one in which they were sent.",
        why="The words of the answer are in the wrong order.",
        detection="""
            The sequence numbers of the events are compared, as for UD611. `undam tap` compares the
            events on both sides of a proxy.
        """,
        causes="""
            Several tasks or threads handle the events of one answer and write them independently. A
            publish-subscribe system does not preserve the order across partitions.
        """,
        measured="preset-io/agor issue 515 (2026): chunks were broadcast out of order.",
        fix=_FIND_THE_HOP
        + """
            In your own application, let a single task write all events of an answer, in queue
            order:

                while (event := await queue.get()) is not None:
                    await send(event)
        """,
    ),
    Rule(
        code="UD614",
        slug="events-altered",
        severity=Severity.ERROR,
        message=(
            "the text of {count} of {events} events differs from the text that was sent; the first "
            "is {first} (from {source})"
        ),
        what="The text of an event differs from the text that was sent.",
        why="The reader receives a different answer from the one that the model generated.",
        detection="""
            With a beacon, the check verifies the checksum of each piece of text. Without a beacon,
            the text can be verified only with the Responses API and with transcriptions, whose
            final event contains the whole text. UTF-8 that was decoded as Latin-1 or Windows-1252
            is recognized in the text itself, with a warning: every special character of the answer
            is then part of a sequence such as `Ã©`. `undam tap` compares the text on both sides of
            a proxy. Its result is a warning, because some filters change text on purpose. Damaged
            characters are reported as UD615.
        """,
        causes="""
            A relay repairs or rewrites JSON, trims white space, or normalizes Unicode. A filter
            masks words. A reader treats U+2028 or U+0085 as the end of a line. A reader assumes
            Latin-1 because the type has no charset, as `decode_unicode=True` of requests does for
            text/event-stream.
        """,
        fix=_FIND_THE_HOP
        + """
            If the change is intended, as with a filter that masks personal data, run the check
            without a beacon:

                undam check URL          without --beacon
        """,
    ),
    Rule(
        code="UD615",
        slug="characters-torn",
        severity=Severity.ERROR,
        message="{count} places in the text contain U+FFFD instead of a character; the first is "
        "{first}",
        what="A character was decoded from only some of its bytes and was replaced with U+FFFD.",
        why="""
            Emoji and text in Chinese, Japanese, Korean, Hindi or Arabic are permanently damaged.
            The reader cannot restore the original bytes.
        """,
        detection="""
            The text of the answer contains U+FFFD, or half of a surrogate pair. Text that mentions
            U+FFFD by name or shows it in quotation marks does not count. With a beacon, events and
            characters are deliberately split across two writes. A hop that decodes each read
            separately is therefore detected immediately.
        """,
        causes="""
            A hop decodes each read as UTF-8 separately, for instance with `toString()` in Node,
            `TextDecoder` without `stream: true`, `bytes.decode(errors="replace")` in Python, or
            `from_utf8_lossy` in Rust. A server that converts single tokens to text has the same
            effect, because one character can span several tokens.
        """,
        measured="""
            Twelve projects had or have this fault in 2026, among them api7/aisix#111,
            librefang#3448 and llama.cpp#28926. In one of the projects, 14.9 % of the stored answers
            were damaged.
        """,
        fix=_FIND_THE_HOP
        + """
            In your own program, decode incrementally or forward bytes:

                Node:     const decoder = new TextDecoder(); decoder.decode(chunk, { stream: true })
                Python:   decoder = codecs.getincrementaldecoder("utf-8")(); decoder.decode(chunk)
                Rust:     keep the bytes after Utf8Error::valid_up_to() for the next read
        """,
        source="""
            WHATWG Encoding Standard, section 4.1; Unicode 16, section 3.9, U+FFFD substitution.
        """,
    ),
    Rule(
        code="UD616",
        slug="answers-mixed",
        severity=Severity.ERROR,
        message="{count} events belong to another answer; the first is {first} (from {source})",
        what="One stream contains events from two answers.",
        why="""
            The reader receives the beginning of one answer and the end of another. If the other
            answer belongs to another user, private data is disclosed.
        """,
        detection="""
            With a beacon, each event contains the tag of its answer. The check compares the tags.
            Without a beacon, two patterns are reported as a warning: content after the end marker
            of the API, and chat events whose `id` changes in mid-answer. Several answers with tool
            calls between them, as an agent sends them, are not reported.
        """,
        causes="""
            A failover occurs in the middle of an answer, and the second backend starts from the
            beginning. Two requests share a connection or a buffer.
        """,
        measured="""
            Garudex-Labs/caracal issue 344 (2026): after a failover, the client received parts of
            two answers in one response.
        """,
        fix=_FIND_THE_HOP
        + """
            Send a request to another backend only if no byte of the first response has been
            forwarded. Once a byte has been forwarded, end the stream with an error event:

                event: error
                data: {"error": {"message": "the backend failed", "type": "server_error"}}
        """,
    ),
)
