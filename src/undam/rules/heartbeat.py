"""UD4xx: heartbeats, idle timeouts, and limits on the duration of a stream."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD401",
        slug="no-heartbeat-in-silence",
        severity=Severity.WARNING,
        message=(
            "{silent_s} s passed without a byte between two events; "
            "idle limits of 30 to 60 s are common"
        ),
        what="Between two events, the stream was silent for over 20 s, and no heartbeat was sent.",
        why="""
            A hop cannot distinguish a reasoning model from a dead one, and cuts the stream when the
            hop's idle limit is reached. This silence was shorter than every idle limit on the path,
            but the next silence may be longer.
        """,
        detection="A gap between two reads is over 20 s. Heartbeats count as reads.",
        measured="""
            A silent stream was cut after 60 s by nginx and by apache (its own default), after 62 s
            by varnish, after 31 s by Traffic Server, and after 50 s by haproxy with its sample
            configuration. Documented idle limits: CloudFront 30 s, AWS ALB 60 s, Cloudflare 125 s.
            A comment every second kept the stream open wherever the limit was an idle limit.
        """,
        fix="""
            Send a comment after 15 s without a write, from the engine or from the server in front
            of it. Readers that follow the standard ignore comments. UD301 describes the readers
            that fail on comments.

                : ping
                vLLM:       --sse-keep-alive-interval 15
                llama.cpp:  --sse-ping-interval 15
                LiteLLM:    sse_keepalive_ping_interval_seconds: 15

            If heartbeats are not possible, raise the limit at the hop. With a higher limit, dead
            origins are detected later.

                nginx:      proxy_read_timeout 3600s;
                haproxy:    timeout server 1h
        """,
        source='WHATWG HTML 9.2.7 (a comment "every 15 seconds or so").',
    ),
    Rule(
        code="UD402",
        slug="no-heartbeat-before-first-token",
        severity=Severity.WARNING,
        message=(
            "{silent_s} s passed without a byte before the first token; "
            "idle limits of 30 to 60 s are common"
        ),
        what="""
            More than 20 s passed between the request and the first byte of the body, because of a
            queue or the prefill of a long prompt.
        """,
        why="""
            Idle limits start with the request, and some hops have a separate limit on the first
            byte: Heroku 30 s, CloudFront 30 s (documented). The longest prompts, which are the most
            expensive to compute, are the first to be cut and retried.
        """,
        detection="""
            The time from the request to the first read of the body is over 20 s. A heartbeat counts
            as a read.
        """,
        measured="""
            A request without a response was cut after 60 s by nginx and apache, and after 31 s by
            Traffic Server. One engine in production sent its headers after 23 s. A heartbeat that
            starts only after the upstream has answered is too late; LiteLLM users request one from
            the first second.
        """,
        fix="""
            Send the response head immediately, and a comment every 15 s until the first token:

                vLLM:       --sse-keep-alive-interval 15     (documented)
                llama.cpp:  --sse-ping-interval 15

            No option for heartbeats was found for SGLang, TensorRT-LLM and Ollama; put a server or
            gateway that sends heartbeats in front of them. With early heartbeats, the status 200 is
            sent before the model has answered, so later errors must be sent in the stream.
            Alternatively, raise the limit (nginx: proxy_read_timeout 3600s;).
        """,
    ),
    Rule(
        code="UD403",
        slug="cut-at-idle-limit",
        severity=Severity.ERROR,
        message="the stream is cut after {limit_s} s of silence; heartbeats {saved}",
        what="A hop closes the stream when nothing has passed for a fixed time.",
        why="""
            A pause in generation (a long prefill, a tool call) ends the response. nginx with
            buffering over HTTP/1.0 also discards the tokens that it has already received.
        """,
        detection="""
            With --idle, the check requests two silences of some seconds from the beacon: one
            without and one with heartbeats. If only the silence without heartbeats is cut, the
            limit is an idle limit. If both silences are cut after the same time, the limit applies
            to the whole response (UD404).
        """,
        measured="""
            A silent stream was cut after these times: nginx 60.06 s (proxy_read_timeout), apache
            60.3 s, varnish 62 s, Traffic Server 31.3 s, haproxy by its `timeout server`, envoy 5
            min (stream_idle_timeout). caddy, squid, lighttpd and node http-proxy survived 68 s.
        """,
        fix="""
            Send heartbeats, as comments, at intervals of at most half the idle limit. Heartbeats
            also let the origin detect disconnected clients. If heartbeats are not possible, raise
            the limit; a dead origin is then detected later:

                nginx:           proxy_read_timeout 3600s;
                haproxy:         timeout server 1h
                apache:          ProxyTimeout 3600
                varnish:         set bereq.between_bytes_timeout = 1h;  (in vcl_backend_fetch)
                traffic server:  proxy.config.http.transaction_no_activity_timeout_out INT 3600
        """,
    ),
    Rule(
        code="UD404",
        slug="cut-at-total-limit",
        severity=Severity.ERROR,
        message="the stream is cut {limit_s} s after its start; heartbeats do not help",
        what="A hop limits the duration of the whole response, with or without activity.",
        why="Long answers end in the middle of a sentence, while short ones pass every test.",
        detection="""
            With --idle, a stream with heartbeats was cut as well. Without --idle, a stream broke
            off near a known product's default limit (15 s, 30 s ...) while tokens were still
            arriving. The tolerance is 0.3 s, or 1.2 s if Envoy has added its signature.
        """,
        measured="""
            Envoy's route timeout is 15 s by default; the client receives a truncated body up to 1 s
            later. Envoy sends the deadline to the origin in a header:
            x-envoy-expected-rq-timeout-ms: 15000. Documented limits: gunicorn's sync worker 30 s,
            Google's external load balancer 30 s, Cloud Run 300 s (3600 at most), KrakenD 2 s, Tyk
            120 s. Clients can also limit the duration: openai-java stops after 10 min.
        """,
        fix="""
            Remove the limit on the streaming route only. Keep the idle limit, which is then the
            only limit that ends a stuck request. Also send heartbeats.

                envoy:         route: {cluster: model, timeout: 0s, idle_timeout: 300s}
                istio:         http: [{timeout: 0s, ...}]                 (VirtualService)
                contour:       timeoutPolicy: {response: infinity}
                envoy gateway: timeout: {http: {requestTimeout: 0s}}      (BackendTrafficPolicy)
                google cloud:  timeoutSec: 3600                           (backend service)
                cloud run:     --timeout 3600
        """,
    ),
    Rule(
        code="UD405",
        slug="silent-drop",
        severity=Severity.ERROR,
        message=(
            "after {silent_s} s of silence, nothing arrives and nothing is closed: "
            "a hop has dropped the connection silently"
        ),
        what="""
            The stream goes silent and never resumes, and neither side receives a close or a reset.
        """,
        why="""
            The reader waits until its own time limit (600 s in openai-python), the origin generates
            tokens that nobody receives, and no error is logged.
        """,
        detection="""
            With --idle, the check requests silences of increasing length from the beacon. After one
            of these silences, the beacon's events did not arrive, and the connection stayed open
            until the check stopped waiting.
        """,
        causes="""
            A NAT device or a stateful firewall removes idle flows from its connection-tracking
            table and then drops their packets. RFC 5382 requires a NAT to keep idle flows for two
            hours and four minutes; many keep them only for minutes. A relay whose origin has broken
            off can cause the same symptom: node http-proxy then keeps the client connection open
            (measured).
        """,
        fix="""
            Send heartbeats, as comments, at intervals of at most half the longest silence that
            survived; heartbeats keep the flow alive. If nothing can be sent in the stream, use TCP
            keepalive and reduce its default of two hours. A change to TCP keepalive affects more
            than streaming:

                nginx:    proxy_socket_keepalive on;     (to the origin)
                haproxy:  option srvtcpka                (to the origin; clitcpka to the client)
                linux:    sysctl net.ipv4.tcp_keepalive_time=60

            Also set a read timeout in the client, slightly above the heartbeat interval.
        """,
    ),
    Rule(
        code="UD406",
        slug="heartbeats-not-passed",
        severity=Severity.WARNING,
        message="the origin's heartbeats do not reach the client while no events are sent",
        what="""
            The origin sends comments during a silence, and the client does not receive them in
            time.
        """,
        why="""
            For the client, and for every hop closer to it, the stream is silent. Idle limits of
            hops cut the stream although the origin sends heartbeats, and a reader cannot
            distinguish a waiting stream from a dead one.
        """,
        detection="""
            With --idle, the check requests a silence with heartbeats from the beacon; no comment
            arrived during that silence.
        """,
        measured="""
            nginx with defaults keeps heartbeats, a few bytes each, in its 4096-byte buffer, which
            takes hours to fill. haproxy with gzip delays heartbeats by 508 ms. LiteLLM removes its
            upstream's comments. nginx (buffering off), envoy and haproxy (http-no-delay) forward
            comments.
        """,
        fix="""
            If a hop holds the stream, turn its buffering off:

                nginx:    proxy_buffering off;
                haproxy:  option http-no-delay

            A hop that rebuilds the stream must send heartbeats of its own:

                LiteLLM:  sse_keepalive_ping_interval_seconds: 15

            Do not send heartbeats as data events instead: clients read data events as content, or
            fail on them (UD301).
        """,
    ),
)
