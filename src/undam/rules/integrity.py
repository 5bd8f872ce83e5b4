"""UD6xx: responses that arrived incomplete."""

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
            The body is complete according to HTTP, but the API's end marker is missing.
        """,
        why="""
            An incomplete answer is shown, stored and billed as a complete one. No retry starts, and
            no error is counted.
        """,
        detection="""
            Each API marks the end of a response: [DONE] or a finish_reason, message_stop,
            response.completed. No end marker arrived, although the HTTP response ended cleanly.
            Plain event streams have no end marker, so they are not examined.
        """,
        measured="""
            When the origin drops the connection in mid-stream, nginx with HTTP/1.0 upstream and
            caddy end the response cleanly; lighttpd (default) sends 200 with a Content-Length that
            matches the fragment. Servers on sanic, robyn and granian's RSGI also end cleanly after
            an exception.
        """,
        fix="""
            First find the hop that cuts the stream. Check each hop with the same prompt:

                undam check URL --hop model=http://MODEL/v1/chat/completions
                undam check URL --beacon --idle 90

            Then make the cut visible to clients. In nginx, use HTTP/1.1 to the origin:

                proxy_http_version 1.1;

            If an exception occurs in a server, send an error event, or close the connection without
            the last chunk. In every client, treat an answer without an end marker as an error.
        """,
    ),
    Rule(
        code="UD602",
        slug="truncated",
        severity=Severity.ERROR,
        message="the stream broke off after {after_s} s: {how}",
        what="""
            The connection ended before the response was complete. The last chunk is missing, the
            body is shorter than `Content-Length`, the connection was reset, or an event is
            incomplete.
        """,
        why="""
            The rest of the answer is lost. Clients raise an error only after part of the answer has
            arrived. Unlike a clean end, a truncated body can be detected by clients (RFC 9112,
            section 8: incomplete messages).
        """,
        detection="""
            The body ended before the API's end marker arrived. The message states whether the
            stream was silent before the cut. Silence before a cut indicates an idle limit.
        """,
        causes="""
            The origin died or was redeployed. nginx over HTTP/1.1, haproxy, apache, varnish, squid,
            Traffic Server and envoy all forward a broken origin response as a broken body
            (measured; envoy up to 1 s late). An idle or total limit at one of these hops has the
            same effect.
        """,
        fix="""
            First find the hop that breaks the stream, and then the cause. No single setting fixes
            every cause.

                undam check URL --hop model=http://MODEL/v1/chat/completions
                undam check URL --beacon --idle 90

            Cuts that always occur after the same time indicate a limit (UD403, UD404). If streams
            are cut at each deployment, let the server drain them before it stops. A retry is safe
            only if the client can discard the partial answer.
        """,
    ),
    Rule(
        code="UD603",
        slug="error-in-stream",
        severity=Severity.ERROR,
        message="an error was sent inside a response with status {status}: {error}",
        what="""
            The response started with a success status, and the server then sent an error as an
            event.
        """,
        why="""
            Access logs, retries, alerts and load generators that check only the status code treat
            the response as a success. Clients that expect a token in every event fail, or show
            nothing.
        """,
        detection="""
            An event has one of the usual error forms: `{"error": ...}`, `event: error` or
            `response.failed`. The status cannot be changed once the response head has been sent. An
            error event without a `[DONE]` after it is therefore the correct way to end a broken
            stream; a clean end would be worse (UD601).
        """,
        fix="""
            Read the error message, which states the cause. To report errors in the status, check
            the key, the model, the prompt length and the capacity before the response head is sent.
            If a check fails, return a status such as:

                HTTP/1.1 400, 401, 404, 422, 429 or 503      with a JSON body

            In monitoring, classify responses by how they end, not by their status.
        """,
    ),
    Rule(
        code="UD604",
        slug="empty-stream",
        severity=Severity.ERROR,
        message="the response has status {status} but contains no event",
        what="The response arrived, but its body contained neither an event nor a comment.",
        why="""
            The reader receives nothing, usually without an error. An empty answer looks as if the
            model had generated no text.
        """,
        detection="""
            The body ended, cleanly or not, before the first event was complete. A body that is not
            an event stream is reported as UD205. Silence until the time limit is reported as UD608.
        """,
        causes="""
            The origin failed after it had sent the response head. A hop cut the stream before its
            first buffer was full. For example, nginx with buffering and HTTP/1.0 to the origin
            discards its buffer when `proxy_read_timeout` is reached (measured). A server answered
            with 204, after which `EventSource` does not reconnect (WHATWG HTML, section 9.2.1).
        """,
        fix="""
            Check the hops closer to the model. Compare the status of the response at each hop, and
            how and when the response ends:

                undam check URL --hop model=http://MODEL/v1/chat/completions

            If the model's own response contains events, fix the hop that does not forward them, as
            for any held stream:

                nginx:  proxy_buffering off;

            If the model's response is empty as well, the log of the model server states the reason.
        """,
    ),
    Rule(
        code="UD605",
        slug="malformed-event",
        severity=Severity.ERROR,
        message="event {number} cannot be parsed: {problem}",
        what="""
            The data of an event is not JSON although it should be, or the event is larger than 4
            MiB.
        """,
        why="""
            Strict clients raise an error and drop the rest of the answer. Lenient clients silently
            skip the event.
        """,
        detection="""
            The data of an event is not JSON, although every data line of the known APIs is either
            JSON or `[DONE]`. Comments and blocks without a data line are not events and are not
            counted. Reading stops at an event above 4 MiB, so that a hostile stream cannot exhaust
            the memory.
        """,
        causes="""
            A hop inserts an error page or a log line into the body. A server sends text with
            newlines as one data line, although each line needs its own `data:`. Some servers encode
            newlines incorrectly: datastar also splits at U+2028, and blacksheep writes a newline as
            the two characters `\\n` (measured). A client can also cause this error itself: httpx's
            `iter_lines` splits inside JSON at U+2028 and U+0085.
        """,
        fix="""
            Encode the payload as JSON on one line, and let the event-stream encoder split any
            remaining newlines. Every client can parse this form:

                data: {"choices": [{"delta": {"content": "two\\nlines"}}]}

            If a hop inserts text into the body, disable the filter that rewrites bodies on this
            route.
        """,
        source="WHATWG HTML, sections 9.2.5 and 9.2.6.",
    ),
    Rule(
        code="UD606",
        slug="never-ends",
        severity=Severity.WARNING,
        message="the stream was still open after {after_s} s, and --timeout closed it",
        what="Events had arrived, but the response had not ended when the time limit was reached.",
        why="""
            A long answer may simply need more time. A stream that stays open after its last event
            occupies a connection. The client's final work, such as running tool calls or storing
            the answer, does not start.
        """,
        detection="""
            The stream was still open when `--timeout` expired. The timeline shows the cause. Tokens
            until the last moment indicate a long answer. `[DONE]` followed by nothing shows that a
            hop or a server does not close the response. Silence after some tokens indicates a lost
            origin.
        """,
        measured="""
            When the origin breaks off in mid-stream, node http-proxy leaves its client waiting. The
            other measured proxies end the response, cleanly or not.
        """,
        fix="""
            If the answer is long, give the check more time or request a shorter answer:

                undam check URL --timeout 600
                undam check URL --data @short.json       with "stream": true and "max_tokens": 256

            If the origin was lost, use a relay that forwards the end of the stream. In the client,
            set a read timeout slightly above the heartbeat interval.
        """,
    ),
    Rule(
        code="UD607",
        slug="size-limit",
        severity=Severity.WARNING,
        message="the stream was read only up to a limit: {limit}",
        what="""
            The stream exceeded one of undam's limits: 24 MiB, 32 000 events and comments, or the
            time limit for the analysis.
        """,
        why="""
            A stream that exceeds a limit may be normal. The limits prevent a hostile or endless
            stream from exhausting the memory or the CPU of this machine. The verdict applies to the
            part that was read. It is unknown whether the stream is complete.
        """,
        detection="""
            Bytes, events and comments are counted after decompression, because a small compressed
            body may contain a large stream. `--timeout` limits the total time for reading and
            analysis.
        """,
        causes="""
            The endpoint is a feed that never ends. The model never stops, because `max_tokens` is
            not set or a stop token is not recognised. Events contain far more than their token,
            such as log probabilities or the whole text so far.
        """,
        fix="""
            For the check, request a shorter answer:

                undam check URL --data @short.json       with "stream": true and "max_tokens": 256

            In the service, set a default `max_tokens` to limit the cost of each request. Answers
            that reach the `max_tokens` limit end with `finish_reason` "length".
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
        why="To a user, the service appears to be down, even if the model is working.",
        detection="""
            No event arrived before `--timeout` expired. The response head may have arrived, but a
            head does not show that the hop forwards events. varnish with `do_gzip`, Traffic
            Server's compressor and express `compression()` send the head immediately and hold the
            body.
        """,
        causes="""
            A queue or a prefill takes longer than the limit. A hop holds a long response until it
            is complete. A firewall drops packets. The model is not loaded yet.
        """,
        fix="""
            Check the hops closer to the model, and set a time limit above the duration of the
            longest answer:

                undam check URL --hop model=http://MODEL/v1/chat/completions --timeout 600

            If the inner hop streams, the outer hop holds the response. UD101 lists the fix for each
            hop. If no hop sends an event, the model is the cause. A heartbeat from the first second
            (UD402) would at least show that the server works.
        """,
    ),
    Rule(
        code="UD609",
        slug="incomplete-answers",
        severity=Severity.ERROR,
        message=("{incomplete} of {requests} responses are incomplete{silent}: {kinds}"),
        what="""
            Under load, some streams ended without their API's end marker, such as `[DONE]` or a
            finish reason, or did not end within the time limit. The connections of incomplete
            streams may have been closed cleanly.
        """,
        why="""
            The reader receives only part of an answer. Load generators that check only the status
            or the HTTP framing count an incomplete answer as a success. An incomplete answer is
            short, so it improves the results of load generators that count it as a success.
        """,
        detection="""
            Each incomplete response has a kind. `no-end` is a clean end without the API's end mark
            (UD601). `truncated` and `reset` are broken connections. `timeout` is a response that
            exceeded the time limit of undam. Incomplete responses are included in TTFT and
            ITL, but not in TPOT, E2E or requests per second. If a response timed out before its
            first content, the time that it waited counts as its TTFT. For an objective, each failed
            request counts as exceeding the limit.
        """,
        causes="""
            Workers die or are redeployed. Hops limit the duration or the silence of a stream
            (UD403, UD404). Servers close connections when they reach their capacity.
        """,
        fix="""
            Compare the times after which the streams end:

                undam bench URL --record run.jsonl --html report.html
                undam check URL --idle 90

            If all streams end after the same time, a limit is the cause. Otherwise, the server may
            lack capacity.
        """,
    ),
    Rule(
        code="UD610",
        slug="requests-failed",
        severity=Severity.ERROR,
        message="{errors} of {requests} requests failed: {kinds}",
        what="Some requests did not return a usable stream.",
        why="""
            Failed requests reduce the load, so the other results describe a smaller load than
            requested.
        """,
        detection="""
            Each failure has a kind. `refused`, `reset` and `timeout` come from the network or the
            listener. `status-429` and other statuses come from the server. `not-a-stream` is a
            response that was sent whole (UD205). `malformed` is an event that is not JSON.
            `error-event` is an error sent inside a stream (UD603). Failed requests are excluded
            from every latency metric. Failed requests are never retried, so the load stays as
            requested. The value of `Retry-After` is reported.
        """,
        fix="""
            The statuses 429 and 503 are correct responses to overload. Find the load that the
            server sustains:

                undam bench URL --find-max --slo 'ttft_p99<1s'

            If connections are refused or reset under load, check the listen queue
            (`net.core.somaxconn`) and any connection limit at a hop. undam can change neither the
            listen queue nor the connection limit.
        """,
    ),
)
