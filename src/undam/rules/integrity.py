"""UD6xx: responses that did not arrive whole."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD601",
        slug="ends-without-done",
        severity=Severity.ERROR,
        message=(
            "the stream ended cleanly without [DONE] or a finish reason: "
            "it was cut, but looks complete"
        ),
        what="""
            The body is complete according to HTTP, but the mark with which the API ends a stream is
            missing.
        """,
        why="""
            Half an answer is shown, stored and billed as a whole one. No retry starts, and no error
            is counted.
        """,
        detection="""
            Each API marks the end of a response: [DONE] or a finish_reason, message_stop,
            response.completed. No end mark arrived, although the HTTP response ended cleanly. Plain
            event streams have no end mark, so they are not examined.
        """,
        measured="""
            When the origin drops the connection in mid-stream, nginx with HTTP/1.0 upstream and
            caddy end cleanly; lighttpd (default) sends 200 with a Content-Length that matches the
            fragment. Servers on sanic, robyn and granian's RSGI also end cleanly after an
            exception.
        """,
        fix="""
            First find the hop that cuts the stream, by checking each hop with the same prompt:

                undam check URL --hop model=http://MODEL/v1/chat/completions
                undam check URL --beacon --idle 90

            Then make the cut visible to clients. In nginx, use HTTP/1.1 to the origin:

                proxy_http_version 1.1;

            In a server, send an error event on an exception, or close without the last chunk. In
            every client, treat an answer without an end mark as an error.
        """,
    ),
    Rule(
        code="UD602",
        slug="truncated",
        severity=Severity.ERROR,
        message="the stream broke off after {after_s} s: {how}",
        what="""
            The connection ended before the response did: the last chunk is missing, the body is
            shorter than Content-Length, the connection was reset, or an event is incomplete.
        """,
        why="""
            The rest of the answer is lost, and clients raise an error late. Unlike a clean end,
            such a cut can be detected (RFC 9112, 8: an incomplete message).
        """,
        detection="""
            The body stopped before the API's end mark. The message
            states whether there was silence before, which indicates an idle limit.
        """,
        causes="""
            An origin that died or was redeployed, seen through nginx over HTTP/1.1, haproxy,
            apache, varnish, squid, Traffic Server or envoy, which all pass a broken origin on as a
            broken body (measured; envoy up to 1 s late). A limit of one of these hops has the same
            effect.
        """,
        fix="""
            Find the hop that breaks the stream, and then the cause; no single setting fixes all
            causes.

                undam check URL --hop model=http://MODEL/v1/chat/completions
                undam check URL --beacon --idle 90

            Cuts after a fixed time indicate a limit (UD403, UD404). For cuts at each deployment,
            let the server drain its streams. A retry is safe only if the reader's half answer can
            be discarded.
        """,
    ),
    Rule(
        code="UD603",
        slug="error-in-stream",
        severity=Severity.ERROR,
        message="an error was sent inside a response with status {status}: {error}",
        what="An error was sent as an event, after the response had begun as a success.",
        why="""
            Access logs, retries, alerts and load generators that use the status count a success.
            Clients that expect a token in every event fail, or show nothing.
        """,
        detection="""
            An event has one of the usual forms of an error: {"error": ...}, event: error,
            response.failed. Once the head has been sent, the status cannot be changed, so an error
            event without a [DONE] after it is the correct way to end a broken stream; a clean end
            would be worse (UD601).
        """,
        fix="""
            Read the text of the error, which states its cause. To report errors in the status,
            check the key, the model, the length of the prompt and the capacity before the head is
            sent, and return a status such as:

                HTTP/1.1 400, 401, 404, 422, 429 or 503      with a JSON body

            In monitoring, count responses by their end instead of their status.
        """,
    ),
    Rule(
        code="UD604",
        slug="empty-stream",
        severity=Severity.ERROR,
        message="the response has status {status} and no event at all",
        what="The response arrived, but its body contained neither an event nor a comment.",
        why="""
            The reader receives nothing, usually without an error: an empty answer looks like a
            model that generated no text.
        """,
        detection="""
            The body ended, cleanly or not, before one event was complete. UD205 is reported for
            another kind of body, and UD608 if the time limit was reached in silence.
        """,
        causes="""
            An origin that failed after its head; a hop that cut the stream before its first buffer
            was full (nginx with buffering over HTTP/1.0 upstream discards its buffer when
            proxy_read_timeout is reached, measured); a server that answered with 204, after which
            EventSource does not reconnect (WHATWG HTML 9.2.1).
        """,
        fix="""
            Check the hops closer to the model, and compare the status, the end and the time of
            each:

                undam check URL --hop model=http://MODEL/v1/chat/completions

            If the model answers, fix the hop that does not forward the answer, as for any held
            stream:

                nginx:  proxy_buffering off;

            If the model's response is empty as well, its own log states the reason.
        """,
    ),
    Rule(
        code="UD605",
        slug="malformed-event",
        severity=Severity.ERROR,
        message="event {number} cannot be parsed: {problem}",
        what="The data of an event is not JSON although it should be, or is larger than 4 MiB.",
        why="""
            Strict clients raise an error and drop the rest of the answer; lenient ones lose the
            event silently.
        """,
        detection="""
            An event is not JSON, although every data line of the known APIs is JSON or [DONE].
            Comments and blocks without a data line are not events, and are not counted. Reading
            stops at an event above 4 MiB, so that a hostile stream cannot exhaust the memory.
        """,
        causes="""
            A hop that inserts an error page or a log line into the body; text with newlines sent as
            one data line (each line needs its own `data:`); servers that split lines elsewhere:
            datastar also splits at U+2028, and blacksheep writes a newline as the two characters
            \\n (measured). A client can cause this finding by itself: httpx's iter_lines splits
            inside JSON at U+2028 and U+0085.
        """,
        fix="""
            Encode the payload as JSON on one line, and let the event-stream encoder split any
            remaining newlines; every reader can parse this form.

                data: {"choices": [{"delta": {"content": "two\\nlines"}}]}

            If a hop inserts the text, turn off the filter that rewrites bodies on this route.
        """,
        source="WHATWG HTML 9.2.5 and 9.2.6.",
    ),
    Rule(
        code="UD606",
        slug="never-ends",
        severity=Severity.WARNING,
        message="the stream was still open after {after_s} s, when --timeout closed it",
        what="Events had arrived, but the response had not ended when the time limit was reached.",
        why="""
            A long answer may simply need more time. A stream that has sent everything and stays
            open occupies a connection, and the client's work at the end (tool calls, storing the
            answer) does not start.
        """,
        detection="""
            The stream was still open after --timeout. The timeline shows the cause: tokens until
            the last moment mean a long answer; [DONE] followed by nothing means that a hop or a
            server does not close the response; silence after some tokens means a lost origin.
        """,
        measured="""
            When the origin breaks off in mid-stream, node http-proxy leaves its client hanging; the
            other proxies end the response in some way.
        """,
        fix="""
            For a long answer, give the check more time, or request a shorter one:

                undam check URL --timeout 600
                undam check URL --data @short.json       with "stream": true and "max_tokens": 256

            For a lost origin, use a relay that forwards the end of the stream, and a read timeout
            in the client, slightly above the heartbeat interval.
        """,
    ),
    Rule(
        code="UD607",
        slug="size-limit",
        severity=Severity.WARNING,
        message="the stream was read only up to a limit: {limit}",
        what="""
            The stream exceeded a limit of this program: 24 MiB, 32 000 events and comments, or
            the time limit for its analysis.
        """,
        why="""
            A stream above the limit may be normal. The limits prevent a hostile or endless stream
            from exhausting the memory or the CPU of this machine. The verdict applies to the part
            that was read; whether the stream is complete is unknown.
        """,
        detection="""
            The bytes, events and comments after decompression are counted, because a small
            compressed body may be a large stream. --timeout limits reading and analysis together.
        """,
        causes="""
            An endpoint that is an endless feed; a model that never stops (no max_tokens, or a stop
            token that is not recognised); events that carry far more than their token (log
            probabilities, or the whole text so far in each event).
        """,
        fix="""
            For the check, request a shorter answer:

                undam check URL --data @short.json       with "stream": true and "max_tokens": 256

            For the service, a default max_tokens limits the cost of one request. Longer answers
            then end with finish_reason "length".
        """,
    ),
    Rule(
        code="UD608",
        slug="nothing-came",
        severity=Severity.ERROR,
        message="no event arrived within {after_s} s of the request",
        what="""
            The request was sent, but neither an event nor a comment arrived before the time limit.
        """,
        why="To a user, the service seems dead, whatever the model is doing.",
        detection="""
            No event arrived before --timeout. The response head may have arrived, which proves
            nothing: varnish with do_gzip, Traffic Server's compressor and express compression()
            send the head at once and hold the body.
        """,
        causes="""
            A queue or a prefill that is longer than the limit; a hop that holds the whole response
            of a long answer; a firewall that drops packets; a model that is not loaded yet.
        """,
        fix="""
            Check the hops closer to the model, with a time limit above the duration of the longest
            answer:

                undam check URL --hop model=http://MODEL/v1/chat/completions --timeout 600

            If the inner hop streams, the outer one holds: UD101 lists the fix for each hop. If all
            hops are silent, the model is the cause; a heartbeat from the first second (UD402) would
            at least show that the server works.
        """,
    ),
    Rule(
        code="UD609",
        slug="incomplete-answers",
        severity=Severity.ERROR,
        message=("{incomplete} of {requests} responses are incomplete{silent}: {kinds}"),
        what="""
            Under load, some streams ended without [DONE], a finish reason or another end mark of
            their API, or did not end within the time limit. The connections of incomplete streams
            may have been closed cleanly.
        """,
        why="""
            The reader has half an answer. Load generators that use only the status or the framing
            count an incomplete answer as a success. Because an incomplete answer is short, it even
            improves the results of such tools.
        """,
        detection="""
            Each response has a kind: no-end for a clean end without the API's end mark (see UD601),
            truncated and reset for a broken connection, timeout for the limit of this program.
            Incomplete responses count in TTFT and ITL, but not in TPOT, E2E and the requests per
            second. A response that timed out before its first content counts in TTFT with the time
            that it waited. Each failed request counts as above the limit of an objective.
        """,
        causes="""
            Workers that die or are redeployed, limits of hops on duration or silence (UD403,
            UD404), and servers that close connections when they are full.
        """,
        fix="""
            Find out when the streams end, and whether they always end after the same time:

                undam bench URL --record run.jsonl --html report.html
                undam check URL --idle 90

            If all streams end after the same time, a limit is the cause; otherwise, the capacity of
            the server may be the cause.
        """,
    ),
    Rule(
        code="UD610",
        slug="requests-failed",
        severity=Severity.ERROR,
        message="{errors} of {requests} requests failed: {kinds}",
        what="Some requests did not return a usable stream.",
        why="""
            Besides the failures themselves, the other results describe a smaller load than
            requested.
        """,
        detection="""
            Each failure has a kind: refused, reset and timeout come from the network or the
            listener; status-429 and other statuses from the server; not-a-stream is a response that
            was sent whole (UD205), malformed an event that is not JSON, and error-event an error
            sent inside a stream (UD603). Failed requests are not part of any latency, and are never
            retried, so that the load stays as requested; the value of Retry-After is reported.
        """,
        fix="""
            The statuses 429 and 503 are the correct answer to overload; find the load that the
            server sustains:

                undam bench URL --find-max --slo 'ttft_p99<1s'

            For refused and reset connections under load, check the listen queue
            (net.core.somaxconn), or a connection limit at a hop. undam cannot change the listen
            queue or the limit.
        """,
    ),
)
