"""Knob 1: buffers, timers and compression on the way."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD101",
        slug="held-to-end",
        severity=Severity.ERROR,
        message=(
            "nothing came before the end: {events} events within {within_ms} ms, "
            "{after_ms} ms after the request"
        ),
        what="A hop collected the whole answer and let it go when the origin had finished.",
        why="""
            The time to first token is the time of the whole answer. Early response headers prove
            nothing: varnish with do_gzip sent them after 1 ms, and nothing until the end.
        """,
        detection="""
            Eight content events or more came in one burst right before the end, after a wait in
            which they could have been generated. A faster answer, or a silence after the burst,
            gives `unknown`. With --beacon: they were due over a longer time, and came together.
        """,
        measured="""
            120 events, one each 25 ms: the first came 3.0 s late through lighttpd 1.4.69, nginx
            with gzip of event streams, express compression(), caddy buffer_responses, mitmproxy.
            nginx's default does the same to an answer shorter than its 4096 bytes.
        """,
        fix="""
            One line at the hop that holds; it changes only how the response is handed on.
                nginx:     proxy_buffering off;
                lighttpd:  server.stream-response-body = 1
                varnish:   set beresp.do_stream = true;  and no do_gzip, no do_esi
                caddy:     remove buffer_responses, or text/event-stream from encode
                haproxy:   remove http-response wait-for-body
                mitmproxy: --set stream_large_bodies=1
            Take filters that read the body (Envoy Lua, ESI, responseInterceptor) off the route.
        """,
    ),
    Rule(
        code="UD102",
        slug="held-in-blocks",
        severity=Severity.ERROR,
        message=(
            "the stream comes in blocks of {block_bytes} bytes, {events_per_burst} events at a time"
        ),
        what="A hop fills a buffer of fixed size and lets it go when it is full.",
        why="""
            The first token waits for the first full block: 4096 bytes are about 24 chunks of the
            OpenAI form, or 340 events of 12 bytes. Heartbeats wait in the same buffer.
        """,
        detection="""
            Most bursts end inside an event (servers write whole events, buffers do not), or each
            reached the same number of bytes with its last event and not before. With --beacon it is
            also told from bursts of nearly equal size whose events were due earlier.
        """,
        measured="""
            nginx 1.22.1 with its defaults (HTTP/1.0 to the origin): first event 1654 ms late at 60
            bytes each 25 ms, 60 events a read; with `proxy_buffering off` 0.1 ms, one event a read.
        """,
        fix="""
            In nginx, in the location of the API; it changes only streaming there (and turns off
            proxy_cache for it):
                proxy_buffering off;
            Or from the origin, for nginx, Kong, APISIX and ingress-nginx, and for nothing else
            known:
                X-Accel-Buffering: no
            `proxy_http_version 1.1;` also streams a chunked origin, but changes the protocol
            upstream, and gzip or a close-delimited origin brings the blocks back. No effect on this
            hop: `proxy_set_header X-Accel-Buffering no` and `add_header`.
        """,
    ),
    Rule(
        code="UD103",
        slug="held-by-timer",
        severity=Severity.ERROR,
        message="a timer of about {every_ms} ms lets events go, {events_per_burst} at a time",
        what="""
            A hop, or the kernel below it, collects for a fixed time and then sends what there is.
        """,
        why="""
            The headers, the first token and every heartbeat come late by up to the period, and a
            reader sees jerks where the model gave an even flow.
        """,
        detection="""
            More than five events come at a time, and the bursts come evenly (their distances differ
            by at most a quarter). Two to five at a time, each 80 ms or slower, stay `unknown`: a
            speculative decoder looks the same. With --beacon: the first event of each burst was
            kept equally long.
        """,
        measured="""
            haproxy 2.6.12 writes with MSG_MORE, so the kernel waits about 200 ms or for a full
            segment: first event 202 ms late at 25 ms a token, 9 events a read; with the option
            below 0.1 ms. At 300 ms a token each event is 207 ms late, alone: only --beacon shows
            that.
        """,
        fix="""
            Safe, changes only when bytes leave (more and smaller packets).
                haproxy:  option http-no-delay
                traefik:  responseForwarding.flushInterval: -1      (documented: 100 ms by default)
                apache:   ProxyPass ... flushpackets=on  (mod_proxy_fcgi and ajp, documented)
        """,
    ),
    Rule(
        code="UD104",
        slug="one-event-late",
        severity=Severity.ERROR,
        message=(
            "each event is held until the next one comes: "
            "{late_events} of {events} came when their successor was due"
        ),
        what="""
            A hop writes an event only when the next one pushes it out, as a compressor does whose
            flush comes before the write and not after it.
        """,
        why="""
            The stream looks smooth, and every token is one gap late: 25 ms at 25 ms a token, but
            the whole pause when the model stops to think or calls a tool. The last event before a
            silence stays inside until the silence ends.
        """,
        detection="""
            Only against due times, with --beacon, or with --hop for the same prompt further in:
            four of five events came when their successor was due. Arrivals alone cannot show it.
        """,
        measured="""
            haproxy 2.6.12 with `compression algo gzip` and `option http-no-delay` 26 to 28 ms late
            at 25 ms a token; express compression() flushed on the data of the proxied response 27
            ms.
        """,
        fix="""
            Do not compress event streams at this hop. Only their transfer size changes.
                haproxy:  compression type text/html application/json  (without text/event-stream)
                express:  compression({filter}) with a filter that excludes text/event-stream
            In a program of your own: write the event first, then flush.
        """,
    ),
    Rule(
        code="UD105",
        slug="headers-held",
        severity=Severity.INFO,
        message=(
            "the response head came only with the first body byte, "
            "{headers_ms} ms after the request"
        ),
        what="""
            The origin, or a hop, sent no response head until there was something to put behind it.
        """,
        why="""
            In a long prefill the client sees nothing at all: limits on the time to the first byte
            run (Heroku 30 s, documented), a status of 200 cannot be told from a dead server, and
            the browser's `open` event does not fire. It does not mean that the body is held, and
            early headers do not mean that it is not.
        """,
        detection="""
            Head and first body byte came within 1 ms of each other, at least 0.5 s after the
            request. Compare hops with --hop to see who waits.
        """,
        measured="""
            nginx with proxy_http_version 1.1, node http-proxy, http-proxy-middleware and
            @fastify/http-proxy wait for the first body byte and then stream. Seen in the field: an
            engine that answered with its headers after 23 s of prefill.
        """,
        fix="""
            Let the origin send the head at once and a comment behind it, which also makes those
            hops pass the head on. Safe for readers that follow the standard:
                : ping
        """,
    ),
    Rule(
        code="UD106",
        slug="compressed-without-flush",
        severity=Severity.ERROR,
        message=(
            "the stream is compressed ({coding}) and the compressor is not flushed after each event"
        ),
        what="A compressor on the way keeps events in its window until it has enough output.",
        why="""
            Small answers come whole at their end, long ones in steps of 16 to 28 KB of compressed
            output: the worst hold there is, even where buffering is off elsewhere.
        """,
        detection="""
            The response has a Content-Encoding, and with the coding taken off its events become
            readable late, in the pattern that the finding beside this one names. A compressor that
            flushes each event (Apache mod_deflate, Envoy) streams and is not blamed.
        """,
        measured="""
            120 events of 60 bytes in 3 s: first event 3.0 s late with nginx gzip_types
            text/event-stream, varnish do_gzip, express compression(), Traffic Server's compress.so
            with `flush false`. nginx gzip with proxy_buffering off: 0.2 ms.
        """,
        fix="""
            Leave event streams out of compression; only their transfer size changes.
                nginx:           take text/event-stream out of gzip_types, or: proxy_buffering off;
                varnish:         set beresp.do_gzip = false;
                traffic server:  flush true                    (compress.so)
                origin:          Cache-Control: no-transform   (Envoy and compression() obey it;
                                 nginx's gzip and mod_deflate do not)
            starlette's GZipMiddleware leaves event streams alone from 0.46.0, but held NDJSON up to
            1.4.0.
        """,
    ),
    Rule(
        code="UD107",
        slug="content-length-on-stream",
        severity=Severity.WARNING,
        message=(
            "the stream has Content-Length: {content_length}, "
            "so somebody had the whole answer before the first byte left"
        ),
        what="""
            The response states its length in advance. Nobody knows the length of an answer that is
            still being generated, so a hop, or the origin, collected it first.
        """,
        why="""
            It is the mark of a response that was held to its end; and a length that was computed
            after a cut makes a truncated answer look whole.
        """,
        detection="""
            By the header, and at the hop where it first appears. Where the events nevertheless came
            one by one (a replay, a simulator) it is only a remark.
        """,
        measured="""
            lighttpd 1.4.69 by default, varnish with do_stream = false or do_esi, and
            http-proxy-middleware's responseInterceptor add Content-Length. lighttpd answers a
            broken origin with status 200 and a length that matches the fragment.
        """,
        fix="""
            As for held-to-end (UD101), at that hop; it changes only streaming:
                lighttpd:  server.stream-response-body = 1
                varnish:   set beresp.do_stream = true;
            In an origin: hand the framework a generator and not a string, and set no length.
        """,
        source="RFC 9112, 6.2 and 7.1 (chunked coding is for content of unknown length).",
    ),
    Rule(
        code="UD108",
        slug="close-delimited",
        severity=Severity.INFO,
        message=(
            "the body ends with the connection ({http_version}, no chunks): an nginx further out "
            "goes back to blocks of 4 KB, and a cut looks like an end"
        ),
        what="Neither chunks nor a length: the body ends when the connection is closed.",
        why="""
            A client cannot tell a cut from an end, as such a body counts as complete (RFC 9112, 8);
            only [DONE] or a finish reason can. Each answer costs a new connection. And an nginx
            further out returns to its blocks.
        """,
        detection="""
            By the head: HTTP/1.0, or HTTP/1.1 with neither Transfer-Encoding: chunked nor
            Content-Length. HTTP/2 and 3 frame their bodies and are not concerned.
        """,
        measured="""
            nginx with proxy_http_version 1.1 and buffering on streams a chunked origin (0.1 ms),
            and holds a close-delimited one (first event 1651 ms late at 60 bytes each 25 ms).
            requests.iter_lines was 603 ms late on a close-delimited body.
        """,
        fix="""
            Let the origin answer HTTP/1.1 requests in chunks; any current server does. In nginx:
                proxy_http_version 1.1;            the default only from 1.29.7 on (documented)
                chunked_transfer_encoding off;     remove this line
            The first changes the protocol to the origin, for everything in that location: test it
            there.
        """,
    ),
    Rule(
        code="UD109",
        slug="x-accel-eaten",
        severity=Severity.INFO,
        message=(
            "X-Accel-Buffering was sent by {inner} and is gone here: "
            "an nginx obeyed it, and the next one out never sees it"
        ),
        what="nginx obeys X-Accel-Buffering from its origin, and takes it off the response.",
        why="""
            With one nginx it does not; it even proves that an nginx is in the path. With two, the
            outer one never learns that it must not buffer, and the origin's header seems not to
            work.
        """,
        detection="""
            With --hop: the inner URL shows the header, the outer does not. It becomes a warning
            where the hop further out holds the stream.
        """,
        measured="""
            Two nginx with defaults and an origin that sends `X-Accel-Buffering: no`: first event
            1626 ms late. With either line below at the inner one, and `proxy_buffering off` there:
            0.1 ms.
        """,
        fix="""
            At the inner nginx; safe, it only hands the header on:
                proxy_pass_header X-Accel-Buffering;
            or
                add_header X-Accel-Buffering no;
            or turn buffering off at the outer one, too, which needs no header:
                proxy_buffering off;
            An `add_header` at the outer nginx does nothing for its own buffer.
        """,
    ),
    Rule(
        code="UD110",
        slug="disconnect-not-passed-on",
        severity=Severity.WARNING,
        message="the origin did not see the client leave: {seen}",
        what="The client closed the connection and the origin went on generating.",
        why="""
            The model's time goes to readers who have left, most of all in a long prefill, where
            there is nothing to write and so nothing that could fail.
        """,
        detection="""
            --cancel leaves in mid-stream and asks the beacon when it saw the close; later than 0.5
            s is not watching, but waiting for the next write.
        """,
        measured="""
            nginx, envoy, caddy, squid, @fastify/http-proxy and Go's ReverseProxy pass it on within
            about 2 ms, also in silence. haproxy, apache, varnish, lighttpd and Traffic Server
            notice at the origin's next write; node http-proxy, and lighttpd as installed, never.
            Behind them, a silent generator is not cancelled in aiohttp, aiohttp-sse, blacksheep and
            robyn; sglang's and vLLM's routers took 4.4 s in a token gap.
        """,
        fix="""
            A heartbeat from the origin makes the second group notice, within one interval:
                : ping
            In nginx, see that `proxy_ignore_client_abort on;` is nowhere. In a server, watch for
            http.disconnect and cancel the engine's request. Where partial answers are stored for a
            later resume, stopping early changes what is stored.
        """,
    ),
    Rule(
        code="UD111",
        slug="held-in-bursts",
        severity=Severity.ERROR,
        message="events come in bursts of {events_per_burst}, by no rule that could be told",
        what="Events come many at a time, but neither their size nor their rhythm is constant.",
        why="As any hold: the first token waits for its burst, and a reader sees jerks.",
        detection="""
            By the pattern: typically more than five events a burst (more than speculative decoders
            give), bursts uneven in time and in bytes, and neither TCP's window nor jitter could
            have made them. With --beacon or --hop, in no known form: one event in ten was held two
            and a half times as long as noise (12 ms, the clocks' uncertainty, half the path), most
            of them together with others; then bursts may be small, too.
        """,
        causes="""
            A compressor that is not flushed (its blocks are even only in compressed bytes), a
            scheduler that lets the relay wait, several hops that each hold in their own way, a
            server whose other streams starve it, or an engine that collects tokens. On uvicorn, 100
            generators that never wait gave their first events after 2.1 s (median).
        """,
        fix="""
            None before the place is known. Ask each hop for the same prompt, outermost first, or
            put a beacon at the far end:
                undam check URL --hop proxy=http://PROXY/v1/... --hop model=http://MODEL/v1/...
            If the innermost shows it, too, look at the engine (UD501) and at the server's event
            loop.
        """,
    ),
    Rule(
        code="UD112",
        slug="a-few-at-a-time",
        severity=Severity.INFO,
        message=(
            "{events_per_burst} events at a time: "
            "normal for a speculative decoder, also the mark of a small buffer"
        ),
        what="Two to five events tend to come together, in whole events.",
        why="""
            Mostly it does not. A speculative decoder accepts 1 to 5 tokens in one step, and its
            server sends them together. A hop with a small buffer, or a timer of a few gaps, looks
            the same from outside, and would cost the first token its share.
        """,
        detection="""
            By the pattern alone: at least half of the events came with another, typically two to
            five at once, not cut inside an event. It is never an accusation; with --beacon or --hop
            the due times decide, and this remark is not made.
        """,
        fix="""
            Find out who does it; nothing needs to change where the model server shows the same:
                undam check URL --hop model=http://MODEL:8000/v1/chat/completions
                undam check URL --beacon          with `undam sim` in the model's place
            vLLM, SGLang and TensorRT-LLM send each step as it comes (`stream_interval` 1) unless
            told otherwise; throughput recipes set 16 or 20.
        """,
    ),
    Rule(
        code="UD113",
        slug="sent-together",
        severity=Severity.WARNING,
        message=(
            "events were sent together: {events_per_burst} at a time, about {burst_bytes} bytes; "
            "{share_percent} % of them came with another"
        ),
        what="Under load, most events reach this machine together with others, in one write.",
        why="""
            A reader sees jerks, and the first token waits for its companions. Tools that do not
            look at it print an ITL p50 of 0.00 ms, which looks excellent.
        """,
        detection="""
            At least half of the events came with another, in one read or in reads next to each
            other, and nothing had been there to read a moment before: this client was on time, so
            they had been put together before they came here. The gaps inside are counted apart as
            bounded and are in no percentile. Up to five at a time it is only a remark.
        """,
        causes="""
            An engine that sends every Nth token or decodes speculatively, a hop with a buffer or a
            timer, a server that is starved of its processor.
        """,
        measured="""
            With four tokens in each write other load generators report an ITL p50 of 0 and a p99 of
            85 ms where each token takes 20, and say nothing.
        """,
        fix="""
            Find the place with a check at low load, which needs no change anywhere:
                undam check URL --hop model=http://MODEL/v1/chat/completions
            Events together only under load: look at the engine's scheduler (UD501) and at the
            server's event loop.
        """,
    ),
)
