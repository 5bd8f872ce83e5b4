"""UD6xx: events that did not arrive as they were sent."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

_FIND_THE_HOP = """
            First find the hop that causes the fault. With `undam sim` or undam.asgi.Beacon at the
            far end, the check measures each hop exactly:

                undam check URL --beacon --hop inner=http://INNER/v1/chat/completions
"""

RULES = (
    Rule(
        code="UD611",
        slug="events-lost",
        severity=Severity.ERROR,
        message="{count} of {events} events are missing, the first is {first} (from {source})",
        what="Events that the server sent did not arrive, although the stream continued.",
        why="""
            Words are missing from the middle of the answer, or a tool call has invalid arguments.
            Nothing else shows the loss: the stream continues, and its end is correct.
        """,
        detection="""
            With a beacon, each event has a number. Without a beacon, the check uses the
            sequence_number of OpenAI's responses API, the index of TGI's events, or event IDs that
            count up. If an inner hop was measured, its answer to the same prompt is compared; the
            comparison counts only if the answers are otherwise equal, and its result is a warning.
            Events that are missing at the end of a broken stream are reported as UD601 or UD602.
            `undam tap` compares the events on both sides of a proxy, in streams that were captured
            completely.
        """,
        causes="""
            A relay parses each read by itself, and drops an event that is divided between two
            reads. A bounded queue drops events when it is full. A parser keeps only the last event
            of each read.
        """,
        measured="""
            maximhq/bifrost issue 597 (2025): half of the Bedrock streams lacked chunks. vLLM issues
            30099 and 28635 (2025): tokens were missing only when streaming.
        """,
        fix=_FIND_THE_HOP
        + """
            In a relay of your own, forward bytes instead of parsed events, or parse with a buffer
            that keeps an unfinished event until its blank line arrives:

                async for data in upstream.aiter_raw():
                    yield data
        """,
    ),
    Rule(
        code="UD612",
        slug="events-duplicated",
        severity=Severity.ERROR,
        message="{count} of {events} events arrived twice, the first is {first} (from {source})",
        what="The same event arrived more than once.",
        why="""
            Words appear twice in the answer, and arguments of tool calls are not valid JSON.
        """,
        detection="""
            The sequence numbers of the events are compared, as for UD611. Without numbers, only two
            patterns count: all events come in equal pairs, or equal events arrive together while
            all others arrive one by one. A token that the model itself repeats arrives after the
            usual time, so it does not count. `undam tap` compares the events on both sides of a
            proxy.
        """,
        causes="""
            Two subscriptions of one reader to the same source; a retry that resends what had
            already been forwarded; middleware that is installed twice and writes each chunk twice.
        """,
        measured="LuthienResearch/luthien-proxy issue 61 (2025): each token arrived twice.",
        fix=_FIND_THE_HOP
        + """
            In a relay of your own, retry a request only if no byte of its response has been
            forwarded.
        """,
    ),
    Rule(
        code="UD613",
        slug="events-reordered",
        severity=Severity.ERROR,
        message="{count} of {events} events arrived out of order, the first is {first} "
        "(from {source})",
        what="An event arrived after an event that was sent later.",
        why="The words of the answer are in the wrong order.",
        detection="""
            The sequence numbers of the events are compared, as for UD611. `undam tap` compares the
            events on both sides of a proxy.
        """,
        causes="""
            Several tasks or threads that handle the events of one answer and write independently;
            a publish-subscribe system without order between partitions.
        """,
        measured="preset-io/agor issue 515 (2026): chunks were broadcast out of order.",
        fix=_FIND_THE_HOP
        + """
            In an application of your own, let one task write the events of one answer, in the
            order of a queue:

                while (event := await queue.get()) is not None:
                    await send(event)
        """,
    ),
    Rule(
        code="UD614",
        slug="events-altered",
        severity=Severity.ERROR,
        message=(
            "{count} of {events} events have a text that differs from what was sent, the first is "
            "{first} (from {source})"
        ),
        what="The text of an event differs from the text that was sent.",
        why="The reader receives an answer that differs from the answer of the model.",
        detection="""
            With a beacon, the checksum of each piece of text is verified. Without a beacon, the
            check is possible only in the responses API, whose final event contains the whole text.
            `undam tap` compares both sides of a proxy; its result is a warning, because filters
            alter text on purpose. Damaged characters are reported as UD615.
        """,
        causes="""
            A relay that repairs or rewrites JSON, trims white space, or normalizes Unicode; a
            filter that masks words; a reader that treats U+2028 or U+0085 as the end of a line.
        """,
        fix=_FIND_THE_HOP
        + """
            If the change is intended (a filter that masks personal data), allow the finding:

                undam check URL          without --beacon
        """,
    ),
    Rule(
        code="UD615",
        slug="characters-torn",
        severity=Severity.ERROR,
        message="{count} places of the text contain U+FFFD instead of a character, the first is "
        "{first}",
        what="A character was decoded from only some of its bytes, and was replaced by U+FFFD.",
        why="""
            Texts in Chinese, Japanese, Korean, Hindi or Arabic, and emoji, are damaged for good:
            the original bytes cannot be restored by the reader.
        """,
        detection="""
            The text of the answer contains U+FFFD, or half of a surrogate pair. A text that
            mentions U+FFFD by name, or shows it in quotation marks, does not count. With a beacon,
            events and characters are divided between two writes on purpose, so that a hop that
            decodes each read by itself is found at once.
        """,
        causes="""
            A hop that decodes each read as UTF-8 by itself, for instance with toString() in Node,
            TextDecoder without stream: true, bytes.decode(errors="replace") in Python, or
            from_utf8_lossy in Rust. A server that converts single tokens to text has the same
            effect, because a character can consist of several tokens.
        """,
        measured="""
            api7/aisix 111, librefang 3448, llama.cpp 28926 and nine other projects had or have this
            fault in 2026; in one of them, 14.9 % of the stored answers were damaged.
        """,
        fix=_FIND_THE_HOP
        + """
            In a program of your own, decode incrementally, or forward bytes:

                Node:     const decoder = new TextDecoder(); decoder.decode(chunk, { stream: true })
                Python:   decoder = codecs.getincrementaldecoder("utf-8")(); decoder.decode(chunk)
                Rust:     keep the bytes after Utf8Error::valid_up_to() for the next read
        """,
        source="WHATWG Encoding Standard, 4.1; Unicode 16, 3.9, U+FFFD substitution.",
    ),
    Rule(
        code="UD616",
        slug="answers-mixed",
        severity=Severity.ERROR,
        message="{count} events belong to another answer, the first is {first} (from {source})",
        what="One stream contains events of two answers.",
        why="""
            The reader receives the beginning of one answer and the end of another. If the other
            answer belongs to another user, private data is disclosed.
        """,
        detection="With a beacon, each event has the tag of its answer, and the tags are compared.",
        causes="""
            A failover in the middle of an answer, after which the second backend starts from the
            beginning; a connection or a buffer that two requests share.
        """,
        measured="Garudex-Labs/caracal issue 344 (2026): a failover joined two answers.",
        fix=_FIND_THE_HOP
        + """
            Send a request to another backend only if no byte of the first response has been
            forwarded. Once a byte has been forwarded, end the stream with an error event:

                event: error
                data: {"error": {"message": "the backend failed", "type": "server_error"}}
        """,
    ),
)
