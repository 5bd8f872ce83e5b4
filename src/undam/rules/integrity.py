"""Whether the answer that came is the whole answer."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD601",
        slug="ends-without-done",
        severity=Severity.ERROR,
        message=(
            "the stream ended cleanly without [DONE] or a finish reason: "
            "it was cut, and looks complete"
        ),
        what="The framing says that the body is complete, and the API's own end never came.",
        why="""
            Half an answer is shown, stored and billed as a whole one; no retry starts and no error
            is counted.
        """,
        detection="""
            Each API says when it is done: [DONE] or a finish_reason, message_stop,
            response.completed. None of them came, and HTTP ended in order. Plain event streams
            announce no end, so they are not judged.
        """,
        measured="""
            When the origin drops the connection in mid-stream, nginx over HTTP/1.0 upstream and
            caddy end cleanly; lighttpd (default) sends 200 with a Content-Length that matches the
            fragment. Servers on sanic, robyn and granian's RSGI end cleanly after an exception,
            too.
        """,
        fix="""
            First see who cut it, by asking each place for the same prompt:
                undam check URL --hop model=http://MODEL/v1/chat/completions
                undam check URL --beacon --idle 90
            Then let the cut show as one. In nginx, a change of the protocol to the origin:
                proxy_http_version 1.1;
            In a server: on an exception send an error event, or close without the last chunk. In
            every client: an answer without its end is an error.
        """,
    ),
    Rule(
        code="UD602",
        slug="truncated",
        severity=Severity.ERROR,
        message="the stream broke off after {after_s} s: {how}",
        what="""
            The connection ended before the response did: no last chunk, bytes short of
            Content-Length, a reset, or an event that was never finished.
        """,
        why="""
            The answer is lost in its middle, and reading clients raise an error late. It is the
            honest kind of cut: it can be noticed (RFC 9112, 8: an incomplete message).
        """,
        detection="""
            By how the body stopped, and because the API's own end had not come. The message says if
            there was silence before, which points at an idle limit.
        """,
        causes="""
            An origin that died or was redeployed, seen through nginx over HTTP/1.1, haproxy,
            apache, varnish, squid, Traffic Server and envoy, which all pass a broken origin on as a
            broken body (measured; envoy up to 1 s late); or a limit of one of these hops.
        """,
        fix="""
            Find the place, then its cause; no single line mends it.
                undam check URL --hop model=http://MODEL/v1/chat/completions
                undam check URL --beacon --idle 90
            Regular cuts: a limit (UD403, UD404). Cuts at each deploy: let the server drain its
            streams. Asking again is safe only where the reader's half answer can be thrown away.
        """,
    ),
    Rule(
        code="UD603",
        slug="error-in-stream",
        severity=Severity.ERROR,
        message="an error came inside a response with status {status}: {error}",
        what="An error was told as an event, after the response had begun as a success.",
        why="""
            Access logs, retries, alerts and load generators that look at the status count a
            success. Clients that expect a token in every event fail on it, or show nothing.
        """,
        detection="""
            An event in one of the forms in use: {"error": ...}, event: error, response.failed.
        """,
        causes="""
            What is right about it: once the head has left, the status cannot be changed, so an
            error event without a [DONE] behind it is the only honest way to end a broken stream; a
            clean end would be worse (UD601).
        """,
        fix="""
            The cause stands in the error's own text. So that fewer errors come this late, check
            what can be checked before the head is sent (key, model, length of the prompt, capacity)
            and answer
                HTTP/1.1 400, 401, 404, 422, 429 or 503      with a JSON body
            And count answers by their end, not by their status, in whatever watches the service.
            That changes only what is reported.
        """,
    ),
    Rule(
        code="UD604",
        slug="empty-stream",
        severity=Severity.ERROR,
        message="the response has status {status} and no event at all",
        what="A response came, and its body held no event and no comment.",
        why="""
            The reader has nothing, mostly without an error: an empty answer looks like a model that
            had nothing to say.
        """,
        detection="""
            The body ended (by whatever end) before one event was complete. A body of another kind
            is UD205, one that was still silent at the time limit is UD608.
        """,
        causes="""
            An origin that failed after its head; a hop that cut the stream before its first buffer
            was full: nginx with buffering over HTTP/1.0 upstream throws away what it holds when
            proxy_read_timeout strikes (measured); a request that the server answered with 204,
            which tells EventSource not to come back (WHATWG HTML 9.2.1).
        """,
        fix="""
            Ask the places further in, and look at the status, the end and the time of each:
                undam check URL --hop model=http://MODEL/v1/chat/completions
            If the model answers, the hop that does not hand on is mended as a hold; only streaming
            changes:
                nginx:  proxy_buffering off;
            If the model is empty, too, its own log has the reason.
        """,
    ),
    Rule(
        code="UD605",
        slug="malformed-event",
        severity=Severity.ERROR,
        message="event {number} cannot be read: {problem}",
        what="An event whose data should be JSON and is not, or one larger than 4 MiB.",
        why="""
            Strict clients raise an error and drop the rest of the answer; lenient ones lose the
            event without a word.
        """,
        detection="""
            By the API's form: every data line of these APIs is JSON, or [DONE]. Comments and blocks
            without a data line are no events, and not counted. Reading stops at an event beyond the
            bound, so that a hostile stream cannot eat memory.
        """,
        causes="""
            A hop that puts an error page or a log line into the body; text with newlines sent as
            one data line (each line needs its own `data:`); servers that split elsewhere: datastar
            also splits at U+2028, blacksheep writes a newline as the two characters \\n (measured).
            A client can do it alone: httpx's iter_lines splits inside JSON at U+2028 and U+0085.
        """,
        fix="""
            Encode the payload as JSON on one line, and let the event-stream encoder split what is
            left; this is safe for every reader.
                data: {"choices": [{"delta": {"content": "two\\nlines"}}]}
            Where a hop inserts it, turn off the filter that rewrites bodies on this route.
        """,
        source="WHATWG HTML 9.2.5 and 9.2.6.",
    ),
    Rule(
        code="UD606",
        slug="never-ends",
        severity=Severity.WARNING,
        message="the stream was still open after {after_s} s, where --timeout ended it",
        what="""
            Events had come, and the response had not ended when the check's own patience did.
        """,
        why="""
            Perhaps not at all: a long answer may need longer. But a stream that has said all and
            stays open keeps a connection and a reader's spinner, and what a client does at the end
            (tool calls, storing the answer) does not happen.
        """,
        detection="""
            By --timeout alone. Look at the picture: tokens until the last moment mean a long
            answer; [DONE] followed by nothing means a hop or a server that does not close; silence
            after some tokens means a lost origin.
        """,
        measured="""
            When the origin breaks off in mid-stream, node http-proxy leaves its client hanging; the
            other proxies end the response in one way or another.
        """,
        fix="""
            For a long answer, give the check more time or ask for less; this changes only the
            check:
                undam check URL --timeout 600
                undam check URL --data @short.json       with "stream": true and "max_tokens": 256
            For a lost origin: a relay that passes its end on, and a read timeout in the client, a
            little over the heartbeat's interval.
        """,
    ),
    Rule(
        code="UD607",
        slug="size-limit",
        severity=Severity.WARNING,
        message="the stream passed {limit_bytes} bytes, where reading stopped",
        what="The body grew past the bound that the check sets itself, and was still open.",
        why="""
            It need not. The bound keeps a hostile or endless stream from eating this machine's
            memory. The verdict holds for the part that was read; the end, and so completeness, is
            unknown.
        """,
        detection="""
            By counting readable bytes, after decompression: a small compressed body may be a large
            stream.
        """,
        causes="""
            An endpoint that is no answer but a feed without end; a model that never stops (no
            max_tokens, a stop token that is not recognised); events that carry far more than their
            token (log probabilities, whole prefixes repeated each time).
        """,
        fix="""
            For the check, a shorter answer:
                undam check URL --data @short.json       with "stream": true and "max_tokens": 256
            For the service, a default max_tokens bounds what one request can cost. It changes more
            than streaming: answers beyond it end with finish_reason "length".
        """,
    ),
    Rule(
        code="UD608",
        slug="nothing-came",
        severity=Severity.ERROR,
        message="no event came within {after_s} s of the request",
        what="""
            The request was sent, and until the time limit no event and no comment came back.
        """,
        why="To a reader this is a dead service, whatever the model is doing behind it.",
        detection="""
            By --timeout; the response head may have come, which proves nothing: varnish with
            do_gzip, Traffic Server's compressor and express compression() send it at once and hold
            the body.
        """,
        causes="""
            A queue or a prefill longer than the limit; a hop that holds the whole response while
            the answer is long; a firewall that swallows packets; a model that is not loaded yet.
        """,
        fix="""
            Ask the places further in, and give the check more time than the longest answer takes:
                undam check URL --hop model=http://MODEL/v1/chat/completions --timeout 600
            If the inner place streams, the outer one holds: UD101 says what mends each hop, and it
            changes only streaming. If all are silent it is the model; a heartbeat from the first
            second (UD402) would at least tell waiting from dead.
        """,
    ),
    Rule(
        code="UD609",
        slug="incomplete-answers",
        severity=Severity.ERROR,
        message=(
            "{incomplete} of {requests} answers began and did not say "
            "that they are complete: {kinds}"
        ),
        what="""
            Under load, streams ended, in good order or not, without [DONE], a finish reason or
            whatever their API ends with.
        """,
        why="""
            The reader has half an answer. Load generators that look at the status or at the framing
            count it as a success, and a short one at that, so the figures improve.
        """,
        detection="""
            The kinds: no-end for a clean end that says nothing (UD601 shows who can do that),
            truncated and reset for a broken one, timeout for this program's own limit. They count
            in TTFT and ITL, and not in TPOT, E2E and the requests per second.
        """,
        causes="""
            Workers that die or are redeployed, limits of hops on the duration or on silence (UD403,
            UD404), servers that close instead of answering when they are full.
        """,
        fix="""
            See when they end, and whether always after the same time:
                undam bench URL --record run.jsonl --html report.html
                undam check URL --idle 90
            Then it is that limit, or the server's own capacity; no line mends all of these.
        """,
    ),
    Rule(
        code="UD610",
        slug="requests-failed",
        severity=Severity.ERROR,
        message="{errors} of {requests} requests failed: {kinds}",
        what="No usable stream came back for these requests.",
        why="""
            Besides the failure itself, the rest of the figures then tell of a smaller load than was
            asked for.
        """,
        detection="""
            The kinds: refused, reset and timeout are the network's or the listener's, status-429
            and other statuses the server's, not-a-stream an answer that came whole (UD205),
            malformed an event that is no JSON, error-event an error told inside a stream (UD603).
            Failed requests are in no latency, and are never sent again, so that the load stays the
            one that was asked for; what Retry-After asked for is reported.
        """,
        fix="""
            429 and 503 are a server's honest answer to too much; find what it can take:
                undam bench URL --find-max --slo 'ttft_p99<1s'
            Refused and reset under load: the listen queue (net.core.somaxconn), or a limit on
            connections at a hop. Nothing in this program changes that.
        """,
    ),
)
