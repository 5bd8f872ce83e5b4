"""Knob 2: what the server says about its stream."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD201",
        slug="cacheable-stream",
        severity=Severity.WARNING,
        message="Cache-Control: {cache_control} lets a cache keep or wait for the whole answer",
        what="""
            The response says that it may be stored: `public`, or a `max-age` or `s-maxage` above 0.
        """,
        why="""
            A shared cache may hand one user's answer to the next who asks for the same URL, and let
            a second request wait for the first one's answer. A cache that stores often buffers:
            nginx with proxy_cache (HTTP/1.0 upstream) held the first event for 1476 ms at 60 bytes
            each 25 ms. A POST is stored by few caches, a GET (EventSource) by any.
        """,
        detection="By the header, at every hop whose response is a stream.",
        fix="""
            At the origin, or at the hop that adds the lifetime (a CDN rule for "static" paths,
            say):
                Cache-Control: no-cache, no-transform
            With private content `no-store` is stricter: nothing may be written down. Safe for
            streams: a browser's EventSource asks past its cache anyway.
        """,
        source="""
            RFC 9111, 3 (what may be stored), 4 (requests that wait for a response), 5.2.2; WHATWG
            HTML 9.2.2 (the request's cache mode is "no-store").
        """,
    ),
    Rule(
        code="UD202",
        slug="stream-headers-missing",
        severity=Severity.INFO,
        message="the response does not ask the hops to leave it alone: {missing} missing",
        what="Three response headers tell hops not to touch a stream; some are absent.",
        why="""
            This stream may flow today and be held tomorrow, when somebody puts a proxy with its
            defaults, or a compressor, in front. HTTP itself promises no incremental delivery (RFC
            9110, 7.6).
        """,
        detection="""
            By the innermost hop's head. Where an nginx or another hop has signed, X-Accel-Buffering
            is not missed: nginx takes it off.
        """,
        fix="""
            At the origin, on the streaming response only. Safe: who does not know a header ignores
            it.
                Cache-Control: no-cache, no-transform
                X-Accel-Buffering: no
                Incremental: ?1
            Who obeys: X-Accel-Buffering: nginx and what is built on it (Kong, APISIX,
            ingress-nginx), found nowhere else. no-transform: Envoy's compressor and Next.js; nginx
            gzip and Apache mod_deflate ignore it, against RFC 9110, 7.7. Incremental (RFC 10036,
            2026): lighttpd from 1.4.83 on, by its source; a hop that will not stream must then
            answer with an error and not hold in silence.
        """,
    ),
    Rule(
        code="UD203",
        slug="connection-header",
        severity=Severity.WARNING,
        message="Connection: {connection} is forbidden over HTTP/{http_version}",
        what="""
            The response carries a Connection header over a version of HTTP that has no such thing.
        """,
        why="""
            RFC 9113, 8.2.2 makes a message with it malformed, and a strict client or hop answers
            with a stream error (PROTOCOL_ERROR, 8.1.1) where others ignore it: the stream works
            with one client and breaks with the next.
        """,
        detection="By the header in a response over HTTP/2 or HTTP/3 (there: RFC 9114, 4.2).",
        causes="""
            Recipes that set `Connection: keep-alive` by hand; sse-starlette sends it always. Over
            HTTP/1.1 it says nothing new, since connections persist anyway (RFC 9112, 9.3).
        """,
        fix="""
            Remove it where the response is made; nothing depends on it.
                headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
            A hop that turns HTTP/1.1 into HTTP/2 must take the header off (RFC 9110, 7.6.1), so the
            one to mend is the origin that speaks HTTP/2 itself, or such a hop that forgets it.
        """,
    ),
    Rule(
        code="UD204",
        slug="wrong-content-type",
        severity=Severity.WARNING,
        message="the body is an event stream, but Content-Type is {content_type}",
        what="""
            The body begins as an event stream does (data:, event:, id:, retry: or a comment), and
            the head calls it something else.
        """,
        why="""
            A browser's EventSource fails the connection for good unless the type is
            text/event-stream (WHATWG HTML, 9.2.2). Hops choose by type: Traefik flushes at once
            what it recognises as a stream, and Cloudflare leaves text/event-stream uncompressed
            (both documented), starlette's GZipMiddleware does from 0.46.0. With another type the
            stream gets the treatment of a page: buffered, compressed, cached.
        """,
        detection="By the first bytes of the body against the Content-Type.",
        fix="""
            At the origin, on the streaming response; nothing but its treatment changes.
                Content-Type: text/event-stream
                StreamingResponse(events(), media_type="text/event-stream")  starlette, FastAPI
            A charset is not needed: event streams are UTF-8 always (9.2.5). For JSON lines the
            types known here are application/x-ndjson, application/ndjson and application/jsonl.
        """,
    ),
    Rule(
        code="UD205",
        slug="not-a-stream",
        severity=Severity.ERROR,
        message="the answer came whole, as {content_type}: the server did not stream",
        what="A stream was asked for, and the body is neither an event stream nor JSON lines.",
        why="The reader waits for the whole answer, and clients that expect events fail.",
        detection="""
            By Content-Type and by how the body begins. For paths that end in /chat/completions,
            /completions, /responses or /messages the request said "stream": true; any other URL was
            fetched as given; --data replaces the body, and must then say it itself.
        """,
        causes="""
            A gateway or an application that calls the model without streaming; a route of a
            function platform in its buffered mode; a login or error page with status 200, which the
            type text/html gives away.
        """,
        fix="""
            Where the answer is collected; this changes the form of the response for every client of
            the route, so keep the whole form for requests that did not ask for a stream.
                "stream": true                         in the call to the model
                InvokeMode: RESPONSE_STREAM            AWS Lambda URL (documented)
                responseTransferMode: STREAM           AWS API Gateway REST (documented)
            With --hop for the places further in, the report shows where the stream is still one.
        """,
    ),
)
