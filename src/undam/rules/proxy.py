"""UD1xx: buffers, timers and compression in intermediaries."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD101",
        slug="held-to-end",
        severity=Severity.ERROR,
        message=(
            "nothing arrived before the end: {events} events within {within_ms} ms, "
            "{after_ms} ms after the request"
        ),
        what="A hop collected the whole response and released it when the origin had finished.",
        why="""
            The time to first token equals the duration of the whole response. Early response
            headers prove nothing: varnish with do_gzip sent them after 1 ms, and nothing else until
            the end.
        """,
        detection="""
            At least eight content events arrived in one burst right before the end, after a wait in
            which they could have been generated. A faster response, or a silence after the burst,
            gives the verdict `unknown`. With --beacon, the events were due over a longer period but
            arrived together.
        """,
        measured="""
            120 events, 25 ms apart: the first one arrived 3.0 s late through lighttpd 1.4.69, nginx
            with gzip of event streams, express compression(), caddy buffer_responses and mitmproxy.
            nginx with defaults does the same to responses shorter than 4096 bytes.
        """,
        fix="""
            Turn off buffering at the hop that holds the stream. Only the timing changes.

                nginx:     proxy_buffering off;
                lighttpd:  server.stream-response-body = 1
                varnish:   set beresp.do_stream = true;  and no do_gzip, no do_esi
                caddy:     remove buffer_responses, or text/event-stream from encode
                haproxy:   remove http-response wait-for-body
                mitmproxy: --set stream_large_bodies=1

            Remove filters that read the body (Envoy Lua, ESI, responseInterceptor) from the route.
        """,
    ),
    Rule(
        code="UD102",
        slug="held-in-blocks",
        severity=Severity.ERROR,
        message=(
            "the stream arrives in blocks of {block_bytes} bytes, "
            "{events_per_burst} events at a time"
        ),
        what="A hop fills a fixed-size buffer and sends its content when the buffer is full.",
        why="""
            The first token is delayed until the first block is full: 4096 bytes are about 24 chat
            chunks, or 340 events of 12 bytes. Heartbeats wait in the same buffer.
        """,
        detection="""
            Most bursts end inside an event (servers write whole events; only a buffer splits them),
            or every burst reaches the same size only with its last event. With --beacon, bursts of
            nearly equal size are sufficient if their events were due earlier.
        """,
        measured="""
            nginx 1.22.1 with defaults (HTTP/1.0 to the origin), 60-byte events 25 ms apart: the
            first event arrived 1654 ms late, 60 events per read; with `proxy_buffering off`,
            0.1 ms late, one event per read.
        """,
        fix="""
            For nginx below 1.29.7, turn buffering off in the API's location. This also disables
            proxy_cache in that location.

                proxy_buffering off;

            Alternatively, let the origin send this header, which nginx, Kong, APISIX and
            ingress-nginx obey:

                X-Accel-Buffering: no

            `proxy_http_version 1.1;` also streams a chunked origin, but changes the protocol to the
            upstream. With gzip, or with an origin that ends the body by closing the connection, the
            stream still arrives in blocks. `proxy_set_header X-Accel-Buffering no` and `add_header`
            do not turn off the buffering of the nginx that contains them.
        """,
    ),
    Rule(
        code="UD103",
        slug="held-by-timer",
        severity=Severity.ERROR,
        message="a timer of about {every_ms} ms releases events, {events_per_burst} at a time",
        what="""
            A hop, or the kernel below it, collects data for a fixed time and then sends all of it.
        """,
        why="""
            The headers, the first token and every heartbeat arrive up to one period late. The text
            appears in bursts although the model generates it evenly.
        """,
        detection="""
            More than five events arrive at a time, at intervals that differ by at most a quarter.
            In addition, the end of the response released the last events early, or the numbers of
            events per burst are those of an even source that is read at even times. An engine that
            emits several tokens per step shows neither pattern. Without such evidence, the check
            requests further streams (`experiments` in JSON); if they do not decide, the verdict is
            `unknown`. With --beacon, the first event of each burst was held for the same time.
        """,
        measured="""
            haproxy 2.6.12 writes with MSG_MORE, so the kernel waits about 200 ms or until a segment
            is full. At 25 ms per token, the first event arrives 202 ms late. With `option
            http-no-delay`, it arrives 0.1 ms late. At 300 ms per token, each event arrives 207 ms
            late, which only --beacon detects.
        """,
        fix="""
            Set the option that makes the hop send data immediately. The hop then sends bytes
            earlier, in more and smaller packets.

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
            "each event is held until the next one arrives: "
            "{late_events} of {events} arrived when the next event was due"
        ),
        what="""
            A hop writes an event only when the next event arrives. A compressor causes such a delay
            if it is flushed before each write instead of after it.
        """,
        why="""
            The stream looks smooth, but every token is one gap late: 25 ms at 25 ms per token, and
            the whole pause when the model reasons or calls a tool. The last event before a silence
            is held until the silence ends.
        """,
        detection="""
            At least 80 % of the events arrived only when the next event was due. Arrival times
            cannot show such a delay: the due times come from --beacon, or from --hop with the same
            prompt closer to the model.
        """,
        measured="""
            haproxy 2.6.12 with `compression algo gzip` and `option http-no-delay`: events arrived
            26 to 28 ms late at 25 ms per token. express compression(), flushed on proxied response
            data: 27 ms late.
        """,
        fix="""
            Do not compress event streams at this hop. Turning compression off changes only the
            transfer size of the streams.

                haproxy:  compression type text/html application/json  (without text/event-stream)
                express:  compression({filter}) with a filter that excludes text/event-stream

            In your own program, write the event first and then flush.
        """,
    ),
    Rule(
        code="UD105",
        slug="headers-held",
        severity=Severity.INFO,
        message=(
            "the response head arrived only with the first body byte, "
            "{headers_ms} ms after the request"
        ),
        what="The origin or a hop delayed the response head until the first body data was sent.",
        why="""
            During a long prefill, the client receives nothing, so a working server looks dead.
            First-byte limits apply (Heroku 30 s, documented), and the browser's `open` event does
            not fire. A late head does not prove that the body is held, and an early head does not
            prove that the body streams.
        """,
        detection="""
            The head and the first body byte arrived within 1 ms of each other, at least 0.5 s after
            the request. Compare hops with --hop to find out which hop delays the head.
        """,
        measured="""
            nginx with proxy_http_version 1.1, node http-proxy, http-proxy-middleware and
            @fastify/http-proxy wait for the first body byte and then stream. One engine in
            production sent its headers after 23 s of prefill.
        """,
        fix="""
            Let the origin send the head immediately, followed by a comment, which makes hops
            forward the head. Readers that follow the event-stream standard ignore comments.

                : ping
        """,
    ),
    Rule(
        code="UD106",
        slug="compressed-without-flush",
        severity=Severity.ERROR,
        message="the stream is compressed ({coding}), and the compressor does not flush each event",
        what="A compressor keeps events in its window until it has enough output.",
        why="""
            Short answers arrive whole when they end; long answers arrive in blocks of 16 to 28 KB
            of compressed output. A compressor holds events longer than any other cause, even if
            buffering is off elsewhere.
        """,
        detection="""
            The response has a Content-Encoding, and its events become readable late after
            decompression. Another finding for the same hop describes the pattern of the delay. A
            compressor that flushes each event (Apache mod_deflate, Envoy) streams and is not
            reported.
        """,
        measured="""
            120 events of 60 bytes in 3 s: the first one arrived 3.0 s late with nginx gzip_types
            text/event-stream, varnish do_gzip, express compression(), and Traffic Server's
            compress.so with `flush false`. nginx gzip with proxy_buffering off: 0.2 ms late.
        """,
        fix="""
            Exclude event streams from compression. Turning compression off changes only the
            transfer size of the streams.

                nginx:           take text/event-stream out of gzip_types, or: proxy_buffering off;
                varnish:         set beresp.do_gzip = false;
                traffic server:  flush true                    (compress.so)
                origin:          Cache-Control: no-transform   (Envoy and compression() obey it;
                                 nginx's gzip and mod_deflate do not)

            starlette's GZipMiddleware has excluded event streams since 0.46.0. Up to 1.4.0,
            starlette's GZipMiddleware held NDJSON.
        """,
    ),
    Rule(
        code="UD107",
        slug="content-length-on-stream",
        severity=Severity.WARNING,
        message=(
            "the stream has Content-Length: {content_length}, "
            "so a hop or the origin had the whole response before it sent the first byte"
        ),
        what="""
            The response has a Content-Length. The length of an unfinished answer is unknown, so a
            hop or the origin collected the whole answer first.
        """,
        why="""
            A Content-Length shows that the response was held until it ended. If the length is
            computed after a cut, a truncated answer looks complete.
        """,
        detection="""
            The finding names the first hop that sends the header. If the events nevertheless
            arrived one by one (a replay or a simulator), the severity is info.
        """,
        measured="""
            lighttpd 1.4.69 by default, varnish with do_stream = false or do_esi, and the
            responseInterceptor of http-proxy-middleware add a Content-Length. If the origin breaks
            off, lighttpd sends status 200 and a Content-Length that matches the fragment.
        """,
        fix="""
            Turn off buffering at the hop that adds the length, as for held-to-end (UD101).

                lighttpd:  server.stream-response-body = 1
                varnish:   set beresp.do_stream = true;

            In an origin, give the framework a generator, not a string. Do not set Content-Length.
        """,
        source="RFC 9112, sections 6.2 and 7.1 (chunked coding is for content of unknown length).",
    ),
    Rule(
        code="UD108",
        slug="close-delimited",
        severity=Severity.INFO,
        message=(
            "the body ends with the connection ({http_version}, not chunked): an nginx closer to "
            "the client sends it in blocks of 4 KB, and a truncated response looks complete"
        ),
        what="The response lacks both chunks and a Content-Length; closing the connection ends it.",
        why="""
            Such a body always counts as complete (RFC 9112, section 8), so a client can distinguish
            a cut from an end only by [DONE] or a finish reason. Each response needs a new
            connection. An nginx closer to the client falls back to blocks of 4 KB.
        """,
        detection="""
            The response is HTTP/1.0, or HTTP/1.1 with neither Transfer-Encoding: chunked nor
            Content-Length. HTTP/2 and HTTP/3 frame their bodies and are not affected.
        """,
        measured="""
            nginx with proxy_http_version 1.1 and buffering on streams a chunked origin (0.1 ms
            late) and holds a close-delimited one (first event 1651 ms late, 60-byte events 25 ms
            apart). `requests.iter_lines` was 603 ms late on a close-delimited body.
        """,
        fix="""
            Let the origin answer HTTP/1.1 requests in chunks, as any current server does. In nginx:

                proxy_http_version 1.1;            the default only since 1.29.7
                chunked_transfer_encoding off;     remove this line

            `proxy_http_version 1.1;` changes the protocol to the origin for everything in the
            location, so test it there.
        """,
    ),
    Rule(
        code="UD109",
        slug="x-accel-eaten",
        severity=Severity.INFO,
        message=(
            "{inner} sent X-Accel-Buffering, but the header is missing here: "
            "an nginx obeyed and removed it, so an nginx closer to the client does not receive it"
        ),
        what="nginx obeys X-Accel-Buffering from its origin, and removes it from the response.",
        why="""
            With one nginx, the missing header is harmless, and proves that an nginx is in the path.
            With two nginx servers, the outer one does not receive the header. It therefore buffers,
            so the header seems ineffective.
        """,
        detection="""
            With --hop, the response of the inner URL has the header, and that of the outer URL does
            not. The finding is a warning if the outer hop holds the stream.
        """,
        measured="""
            Two nginx servers with defaults and an origin that sends `X-Accel-Buffering: no`: the
            first event arrived 1626 ms late. With `proxy_buffering off` and either line below at
            the inner nginx, it arrived 0.1 ms late.
        """,
        fix="""
            Pass the header on at the inner nginx, with one of these lines:

                proxy_pass_header X-Accel-Buffering;
                add_header X-Accel-Buffering no;

            Alternatively, turn buffering off at the outer nginx, which then needs no header:

                proxy_buffering off;

            `add_header` at the outer nginx does not affect the outer nginx's own buffer.
        """,
    ),
    Rule(
        code="UD110",
        slug="disconnect-not-passed-on",
        severity=Severity.WARNING,
        message="the origin did not detect that the client disconnected: {seen}",
        what="The client closed the connection, and the origin continued to generate.",
        why="""
            The model generates tokens that nobody reads. Most undetected disconnects occur during a
            long prefill: nothing is written, so no write can fail.
        """,
        detection="""
            With --cancel, the check disconnects in mid-stream. The beacon then reports when it
            detected the disconnect. A delay over 0.5 s shows that the server does not watch the
            connection and detects a disconnect only when a write fails.
        """,
        measured="""
            nginx, envoy, caddy, squid, @fastify/http-proxy and Go's ReverseProxy pass a disconnect
            on within about 2 ms, also during silence. haproxy, apache, varnish, lighttpd and
            Traffic Server detect a disconnect at the origin's next write; node http-proxy, and
            lighttpd as installed, never detect it. In aiohttp, aiohttp-sse, blacksheep and robyn, a
            silent generator is not cancelled after a disconnect. The routers of sglang and vLLM
            needed 4.4 s to detect a disconnect in a gap between tokens.
        """,
        fix="""
            Send heartbeats from the origin. Hops that detect disconnects only at a write then do so
            within one interval:

                : ping

            In nginx, make sure that `proxy_ignore_client_abort on;` is not set. In a server, watch
            for `http.disconnect`, and cancel the engine's request. If partial answers are stored
            for a later resume, stopping early changes what is stored.
        """,
    ),
    Rule(
        code="UD111",
        slug="held-in-bursts",
        severity=Severity.ERROR,
        message="events arrive in bursts of {events_per_burst}, in no known pattern",
        what="Many events arrive per burst, but neither burst sizes nor intervals are constant.",
        why="The first token is held until its burst is released. The text appears in bursts.",
        detection="""
            Typically more than five events arrive per burst, at uneven intervals, and the number of
            events in a burst depends on the time before the burst. When an engine emits several
            tokens per step, burst size does not depend on that time. Neither the TCP window nor
            jitter explains the bursts. With --beacon or --hop, one event in ten was held for two
            and a half times the noise, and most of these events arrived together with others. The
            noise is the sum of three terms: 12 ms, the clock uncertainty, and half the one-way
            delay of the path. With either option, smaller bursts are also reported.
        """,
        causes="""
            A compressor without flush (its blocks are of equal size only in compressed bytes), a
            scheduler that delays the relay, several hops that hold in different ways, a server
            whose CPU is used up by other streams, or an engine that collects tokens. On uvicorn,
            100 generators that never wait sent their first events after 2.1 s (median).
        """,
        fix="""
            First find the hop that holds the stream. Check each hop with the same prompt, outermost
            first, or use a beacon at the far end:

                undam check URL --hop proxy=http://PROXY/v1/... --hop model=http://MODEL/v1/...

            If the innermost hop also sends bursts, check the engine (UD501) and the server's event
            loop.
        """,
    ),
    Rule(
        code="UD112",
        slug="a-few-at-a-time",
        severity=Severity.INFO,
        message=(
            "{events_per_burst} events at a time: "
            "normal for a speculative decoder, but also typical of a small buffer"
        ),
        what="Two to five whole events tend to arrive together.",
        why="""
            Bursts of two to five events usually do no harm. A speculative decoder accepts 1 to 5
            tokens in one step, and its server sends them together. A hop that has a small buffer,
            or flushes every few gaps, looks the same from outside but delays the first token.
        """,
        detection="""
            At least half of the events arrived with another event, typically two to five at once,
            and no burst ends inside an event. The finding does not name a hop as the cause. With
            --beacon or --hop, the due times show the cause, and this finding is not reported.
        """,
        fix="""
            Compare with the model server itself. If its events arrive in the same way, no change is
            needed:

                undam check URL --hop model=http://MODEL:8000/v1/chat/completions
                undam check URL --beacon          with `undam sim` instead of the model

            By default, vLLM, SGLang and TensorRT-LLM send each step immediately (`stream_interval`
            1); high-throughput recipes set 16 or 20.
        """,
    ),
    Rule(
        code="UD113",
        slug="sent-together",
        severity=Severity.WARNING,
        message=(
            "events were sent together: {events_per_burst} at a time, about {burst_bytes} bytes; "
            "{share_percent} % of them arrived with another one"
        ),
        what="Under load, most events reach this machine in one write with other events.",
        why="""
            The text appears in bursts, and the first token is delayed until its burst is sent. Load
            generators that do not detect such bursts report an ITL p50 of 0.00 ms, which looks
            excellent.
        """,
        detection="""
            At least half of the events arrived with another event, in one read or in consecutive
            reads. No data was waiting just before them, so a slow client did not cause them.
            Gaps between events of the same write are counted separately, as bounded, and are
            excluded from every percentile. With at most five events at a time, the severity is
            info.
        """,
        causes="""
            An engine that sends every Nth token or decodes speculatively, a hop with a buffer or a
            timer, or a server without enough CPU time.
        """,
        measured="""
            With four tokens in each write, and 20 ms per token, other load generators report an ITL
            p50 of 0 and a p99 of 85 ms, without a warning.
        """,
        fix="""
            Find the hop with a check at low load:

                undam check URL --hop model=http://MODEL/v1/chat/completions

            If events arrive together only under load, check the engine's scheduler (UD501) and the
            server's event loop.
        """,
    ),
    Rule(
        code="UD116",
        slug="held-by-your-proxy",
        severity=Severity.ERROR,
        message=(
            "the proxy {proxy} between this machine and the server holds the stream: without the "
            "proxy, the same request streams (TTFT {direct_ttft_ms} ms)"
        ),
        what="""
            The forward proxy of this machine (--proxy or HTTPS_PROXY) holds the stream. Neither the
            server nor any proxy in front of it holds the stream.
        """,
        why="""
            Every program on this network receives the answer late, and no change to the service
            helps. Proxies that inspect content read the whole body before they forward it.
        """,
        detection="""
            The stream is held through the proxy, but not when the check sends the same request
            directly. The direct request is an experiment, so --no-experiments disables it. If no
            direct connection is possible, the proxy is only listed as a suspect.
        """,
        measured="""
            mitmproxy 11.0.2 over http and https, and Privoxy 3.0.34 in its default configuration,
            hold the whole answer.
        """,
        fix="""
            Exempt the host from the proxy, or configure the proxy to stream the host's responses.

                NO_PROXY=HOST
                mitmproxy:  --set stream_large_bodies=1
                Privoxy:    {-filter -deanimate-gifs} for the host, in user.action

            TLS-inspecting cloud services have a list of exempt hosts.
        """,
    ),
)
