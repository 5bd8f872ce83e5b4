"""UD2xx: response headers and content types that the server sends."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD201",
        slug="cacheable-stream",
        severity=Severity.WARNING,
        message=(
            "Cache-Control: {cache_control} allows a cache to store the response, "
            "or to wait for all of it"
        ),
        what="""
            The Cache-Control header allows storage: it contains `public`, or a `max-age` or
            `s-maxage` above 0.
        """,
        why="""
            A shared cache may send one user's answer to the next user who requests the
            same URL, and may delay a second request until the first response is
            complete. A cache that stores a response often buffers it as well. With
            60-byte events 25 ms apart, nginx with proxy_cache (HTTP/1.0 upstream) held
            the first event for 1476 ms. Few caches store a POST; any cache may store a
            GET (EventSource).
        """,
        detection="Cache-Control is checked at every hop whose response is a stream.",
        fix="""
            Set this header at the origin, or at the hop that adds the lifetime (for instance a CDN
            rule for "static" paths):

                Cache-Control: no-cache, no-transform

            For private content, use the stricter `no-store`, which forbids all storage. `no-cache`
            and `no-store` are both safe for streams, because EventSource bypasses the browser's
            cache anyway.
        """,
        source="""
            RFC 9111, sections 3 (what may be stored), 4 (requests that wait for a response) and
            5.2.2; WHATWG HTML, section 9.2.2 (the request's cache mode is "no-store").
        """,
    ),
    Rule(
        code="UD202",
        slug="stream-headers-missing",
        severity=Severity.INFO,
        message="the response lacks headers against buffering and changes at hops: {missing}",
        what="""
            The response lacks at least one of the three headers against buffering and modification
            at hops.
        """,
        why="""
            The stream may be held as soon as a compressor, or a proxy with default settings, is
            added to the path. HTTP itself does not guarantee incremental delivery (RFC 9110,
            section 7.6).
        """,
        detection="""
            The response head of the innermost hop is checked. If an nginx or another hop has added
            its signature, X-Accel-Buffering is not reported as missing, because nginx removes it.
        """,
        fix="""
            Set the headers at the origin, on the streaming response only. Hops ignore headers that
            they do not know.

                Cache-Control: no-cache, no-transform
                X-Accel-Buffering: no
                Incremental: ?1

            X-Accel-Buffering is obeyed by nginx and programs built on it (Kong, APISIX,
            ingress-nginx). no-transform is obeyed by Envoy's compressor and Next.js; nginx gzip and
            Apache mod_deflate ignore it, contrary to RFC 9110, section 7.7. Incremental (RFC 10036,
            2026) is obeyed by lighttpd since 1.4.83, according to its source. A hop that obeys
            Incremental but cannot stream must return an error instead of holding the response.
        """,
    ),
    Rule(
        code="UD203",
        slug="connection-header",
        severity=Severity.WARNING,
        message="{name}: {connection} is forbidden over HTTP/{http_version}",
        what="""
            The response contains a header that this version of HTTP does not allow: Connection,
            Keep-Alive, Proxy-Connection, Transfer-Encoding or Upgrade.
        """,
        why="""
            According to RFC 9113, section 8.2.2, a message with one of these headers is malformed.
            A strict client or hop answers with a stream error (PROTOCOL_ERROR, section 8.1.1);
            others ignore the header. The stream may work with one client and fail with the next.
        """,
        detection="""
            A response over HTTP/2 or HTTP/3 has a connection-specific header (for HTTP/3, see RFC
            9114, 4.2).
        """,
        causes="""
            Code that sets `Connection: keep-alive` explicitly, and sse-starlette, which always
            sends it. Over HTTP/1.1, `Connection: keep-alive` is redundant, because connections
            persist anyway (RFC 9112, section 9.3).
        """,
        fix="""
            Remove the header where the response is created; nothing depends on it.

                headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

            A hop that converts HTTP/1.1 to HTTP/2 must remove the header (RFC 9110, section 7.6.1).
            Fix the origin if it uses HTTP/2 itself; otherwise, fix the hop that does not remove the
            header.
        """,
    ),
    Rule(
        code="UD204",
        slug="wrong-content-type",
        severity=Severity.WARNING,
        message="the body is an event stream, but Content-Type is {content_type}",
        what="""
            The body begins like an event stream (data:, event:, id:, retry: or a comment), but the
            response head declares another Content-Type.
        """,
        why="""
            A browser's EventSource fails permanently unless the Content-Type is text/event-stream
            (WHATWG HTML, section 9.2.2). Hops also use the Content-Type. Traefik flushes
            recognised streams immediately, and Cloudflare does not compress text/event-stream
            (both documented). Starlette's GZipMiddleware excludes it since 0.46.0. A stream with
            another type is buffered, compressed and cached like a page.
        """,
        detection="The first bytes of the body are compared with the Content-Type.",
        fix="""
            Set the Content-Type at the origin, on the streaming response.

                Content-Type: text/event-stream
                StreamingResponse(events(), media_type="text/event-stream")   (starlette, FastAPI)

            A charset is not needed: event streams are always UTF-8 (WHATWG HTML, section 9.2.5).
            For JSON lines, undam recognises application/x-ndjson, application/ndjson and
            application/jsonl.
        """,
    ),
    Rule(
        code="UD205",
        slug="not-a-stream",
        severity=Severity.ERROR,
        message="the response was sent whole, as {content_type}: the server did not stream",
        what="""
            A stream was requested, but the body is neither an event stream nor JSON lines, or a
            single event carries the whole answer.
        """,
        why="The reader waits for the whole response, and clients that expect events fail.",
        detection="""
            The Content-Type and the beginning of the body are examined. A single event counts if it
            carries at least 600 characters of text and arrives half a second after the request or
            later. For paths that end in /chat/completions, /completions, /responses or /messages,
            the request contained "stream": true. Any other URL was fetched as given; with --data,
            the given body must request the stream.
        """,
        causes="""
            A gateway or an application that calls the model without streaming, or that collects the
            answer for a filter and sends it as one event; a route of a function platform in its
            buffered mode; or a login or error page with status 200 and the type text/html.
        """,
        fix="""
            Enable streaming in the program that collects the response. Clients that do not request
            a stream must still receive the whole response, so stream only if the request contains
            "stream": true.

                "stream": true                         in the call to the model
                InvokeMode: RESPONSE_STREAM            AWS Lambda URL (documented)
                responseTransferMode: STREAM           AWS API Gateway REST (documented)

            Add the hops closer to the model with --hop: the report then shows which of them return
            a stream.
        """,
    ),
    Rule(
        code="UD206",
        slug="nagle-delay",
        severity=Severity.WARNING,
        message="the first events on a reused connection arrive {delay_ms} ms late: the server has "
        "not set TCP_NODELAY",
        what="""
            On a connection that has carried a request before, the first small writes of an answer
            wait about 40 ms. On a new connection, these writes do not wait.
        """,
        why="""
            All clients reuse connections, so nearly every user waits 40 ms longer for the first
            token. At high rates, the delay also limits the requests per second of a connection.
        """,
        detection="""
            The check sends the same request again on the first request's connection, and compares
            the first gaps of both answers. A gap of 36 to 60 ms must occur twice at the same place,
            must be absent on the new connection, and must release data that was sent before. In a
            load test, most answers must have such a gap before a first read with several events.
        """,
        causes="""
            Nagle's algorithm holds a small write until the previous one is acknowledged, and the
            receiver delays acknowledgements by 40 ms. On a new connection, Linux acknowledges at
            once. Some servers do not set TCP_NODELAY (axum and hyper before axum 0.8, Go programs
            that call SetNoDelay(false), C and C++ servers); asyncio, Node 18 and Go's net package
            set it by default.
        """,
        measured="""
            ai-dynamo/dynamo 14643 (2026): with TCP_NODELAY, the p50 fell from 45 to 9 ms. pegainfer
            23 (2026): with TCP_NODELAY, TTFT fell from 42 to 12 ms. With a server on Linux 6 and a
            gap of 10 ms between tokens, the first token came after 0.3 ms on a new connection and
            after 43 to 46 ms on a reused one.
        """,
        fix="""
            Set TCP_NODELAY on each accepted connection:

                Rust (axum, tokio):   listener.tap_io(|tcp| { let _ = tcp.set_nodelay(true); })
                Go:                   conn.(*net.TCPConn).SetNoDelay(true)
                C, C++:               int on = 1; setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, 4);
                Node:                 server.on("connection", (s) => s.setNoDelay(true))
                Python:               sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        """,
        source="RFC 896; RFC 9293, 3.7.4; tcp(7).",
    ),
)
