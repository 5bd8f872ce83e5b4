"""Knob 4: silence, and who cuts it."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD401",
        slug="no-heartbeat-in-silence",
        severity=Severity.WARNING,
        message=(
            "{silent_s} s passed without a byte between two events; limits of 30 to 60 s are common"
        ),
        what="""
            The stream fell silent in its middle, for over 20 s, and nobody sent a heartbeat.
        """,
        why="""
            A hop cannot tell a thinking model from a dead one, and cuts at its idle limit. This
            silence was shorter than the limits on this path; the next may not be.
        """,
        detection="By the longest gap between two reads of any kind, heartbeats included.",
        measured="""
            Cut after 60 s of silence: nginx, apache (its own default); 62 s varnish; 31 s Traffic
            Server; 50 s haproxy's sample configuration. Documented: CloudFront 30 s, AWS ALB 60 s,
            Cloudflare 125 s. A comment each second kept the stream alive wherever the limit was an
            idle one.
        """,
        fix="""
            A comment after 15 s without a write, from the engine or from the server in front of it.
            Safe for readers that follow the standard; see UD301 for those that do not.
                : ping
                vLLM:       --sse-keep-alive-interval 15
                llama.cpp:  --sse-ping-interval 15
                LiteLLM:    sse_keepalive_ping_interval_seconds: 15
            A longer limit at the hop is the second best: dead origins are then noticed late, too.
                nginx:      proxy_read_timeout 3600s;
                haproxy:    timeout server 1h
        """,
        source="""
            WHATWG HTML 9.2.7 (a comment "every 15 seconds or so").
        """,
    ),
    Rule(
        code="UD402",
        slug="no-heartbeat-before-first-token",
        severity=Severity.WARNING,
        message=(
            "{silent_s} s passed without a byte before the first token; "
            "limits of 30 to 60 s are common"
        ),
        what="""
            Between the request and the first byte of the body lay over 20 s of silence: a queue, or
            the prefill of a long prompt.
        """,
        why="""
            Idle limits run from the request on, and some hops have a limit of their own on the
            first byte: Heroku 30 s, CloudFront 30 s (documented). The longest prompts, the dearest
            to compute, are the first to be cut and asked again.
        """,
        detection="""
            By the time from the request to the first read of the body, heartbeats included.
        """,
        measured="""
            nginx cuts at 60 s, apache at 60 s, Traffic Server at 31 s. An engine in the field sent
            its headers after 23 s. A heartbeat that starts only after the upstream answered comes
            too late: users of LiteLLM ask for it from the first second.
        """,
        fix="""
            The head at once and a comment each 15 s, before the model has said anything:
                vLLM:       --sse-keep-alive-interval 15     (documented)
                llama.cpp:  --sse-ping-interval 15
            For SGLang, TensorRT-LLM and Ollama no such knob was found: put a server or gateway in
            front that sends heartbeats. This fixes the status at 200 before the model has answered,
            so later errors must be told in the stream. Or raise the limit (nginx:
            proxy_read_timeout 3600s;).
        """,
    ),
    Rule(
        code="UD403",
        slug="cut-at-idle-limit",
        severity=Severity.ERROR,
        message="the stream is cut after {limit_s} s of silence; heartbeats {saved}",
        what="A hop closes the stream when nothing has passed for a fixed time.",
        why="""
            A pause of the model (a long prefill, a tool call) ends the answer. nginx with buffering
            over HTTP/1.0 throws away the tokens it has already received as well.
        """,
        detection="""
            --idle asks the beacon to keep silent for some seconds, twice: in true silence, and with
            heartbeats. Cut in the first and not in the second: an idle limit. Both after the same
            time: that is a total limit (UD404).
        """,
        measured="""
            nginx 60.06 s (proxy_read_timeout), apache 60.3 s, varnish 62 s, Traffic Server 31.3 s,
            haproxy by its `timeout server`, envoy 5 min (stream_idle_timeout). caddy, squid,
            lighttpd and node http-proxy survived 68 s.
        """,
        fix="""
            Heartbeats at half the limit or less; safe as a comment. They also tell the origin when
            a client has gone. Where none can be sent, the limit; a dead origin is then noticed as
            late:
                nginx:           proxy_read_timeout 3600s;
                haproxy:         timeout server 1h
                apache:          ProxyTimeout 3600
                varnish:         set bereq.between_bytes_timeout = 1h;      (in vcl_backend_fetch)
                ats: CONFIG proxy.config.http.transaction_no_activity_timeout_out INT 3600
        """,
    ),
    Rule(
        code="UD404",
        slug="cut-at-total-limit",
        severity=Severity.ERROR,
        message=(
            "the stream is cut {limit_s} s after its start, whatever is "
            "sent; heartbeats do not help"
        ),
        what="A hop limits the whole response, however lively it is.",
        why="Long answers end in the middle of a sentence and short ones pass every test.",
        detection="""
            With --idle: a stream that heartbeats kept lively was cut all the same. Without it, from
            a stream that broke off within 0.3 s of a limit that products are known to ship with (15
            s, 30 s ...), or 1.2 s where Envoy signs, while tokens were still coming.
        """,
        measured="""
            Envoy's route timeout is 15 s by default; the client sees a truncated body up to 1 s
            later. The origin can read the deadline: x-envoy-expected-rq-timeout-ms: 15000.
            Documented: gunicorn's sync worker 30 s, Google's external load balancer 30 s, Cloud Run
            300 s (3600 at most), KrakenD 2 s, Tyk 120 s. A client can be the one: openai-java stops
            at 10 min.
        """,
        fix="""
            Lift it on the streaming route alone. It changes more than streaming: a stuck request is
            then ended only by the idle limit, so keep that one, and send heartbeats.
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
            "after {silent_s} s of silence nothing comes any more and nothing closes: "
            "a hop forgot the connection"
        ),
        what="""
            After a silence the stream is dead, and neither side is told: no byte, no close, no
            reset.
        """,
        why="""
            The reader waits until its own time limit (600 s in openai-python), the origin generates
            into nothing, and no log has an error.
        """,
        detection="""
            --idle asks the beacon for silences of growing length; after one of them the events that
            it sent did not come, and the connection stayed open until the check gave up.
        """,
        causes="""
            A NAT, a stateful firewall or a conntrack table that forgets idle flows and then drops
            their packets; RFC 5382 asks for two hours and four minutes, many keep minutes. The same
            sign comes from a relay whose origin has broken off: node http-proxy then leaves the
            client hanging (measured).
        """,
        fix="""
            Heartbeats at half the time that was survived or less, safe as comments; they keep the
            flow known. Where nothing can be sent in the stream, TCP's own probes, whose two hours
            of default must come down; that changes more than streaming:
                nginx:    proxy_socket_keepalive on;     (to the origin)
                haproxy:  option srvtcpka                (to the origin; clitcpka to the client)
                linux:    sysctl net.ipv4.tcp_keepalive_time=60
            And a read timeout in the client, a little over the heartbeat's interval.
        """,
    ),
    Rule(
        code="UD406",
        slug="heartbeats-not-passed",
        severity=Severity.WARNING,
        message="heartbeats that the origin sends do not arrive while the stream is silent",
        what="""
            The origin fills a silence with comments, and the client does not see them in time.
        """,
        why="""
            Every hop further out, and the client, sees plain silence, so their idle limits cut the
            stream although the origin did all it should; and a reader cannot tell waiting from
            dead.
        """,
        detection="""
            --idle asks the beacon for a silence with heartbeats; no comment arrived in it.
        """,
        measured="""
            nginx with its defaults keeps heartbeats in its 4096-byte buffer, a few bytes each, so a
            silence lasts hours before it fills; haproxy with gzip delays them by 508 ms. LiteLLM
            strips its upstream's comments. nginx (buffering off), envoy and haproxy (http-no-delay)
            pass them on.
        """,
        fix="""
            A hop that holds is mended as any hold, which changes only streaming:
                nginx:    proxy_buffering off;
                haproxy:  option http-no-delay
            A hop that rebuilds the stream must send heartbeats of its own:
                LiteLLM:  sse_keepalive_ping_interval_seconds: 15
            Do not turn heartbeats into data events to get them through: clients read those as
            content, or fail on them (UD301).
        """,
    ),
)
