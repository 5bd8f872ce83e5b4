"""The rules of ingress-nginx: nginx with defaults of its own, buffering off and HTTP/1.1."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_DOCS = "kubernetes.github.io/ingress-nginx, user guide"
_NGINX = "nginx 1.22.1 measured on loopback"
_TEMPLATE = "kubernetes/ingress-nginx, rootfs/etc/nginx/template/nginx.tmpl"

BUFFERING_ON = ConfigRule(
    code="ING101",
    slug="proxy-buffering-on",
    severity=Severity.WARNING,
    message=(
        "proxy-buffering is on for an Ingress that streams: the head waits for the first byte, "
        "and a body without chunks comes in blocks of 4 KB"
    ),
    safety=Safety.SAFE,
    what="ingress-nginx buffers nothing by default; this annotation turns it on.",
    why="""
        Over HTTP/1.1 to the service, the default here, a chunked stream still passes, but its head
        waits for its first byte, and a body that ends with its connection comes in blocks of 4 KB.
        It is an error where proxy-http-version is "1.0", too: then every stream comes in blocks.
    """,
    detection="""
        The annotation is "on" and a path or service of the Ingress looks like a stream.
    """,
    measured="""
        nginx 1.22.1 with buffering: a chunked origin over HTTP/1.1 0.1 ms late, one without chunks
        1651 ms, over HTTP/1.0 1654 ms, 60 events of 60 bytes at a time.
    """,
    fix="""
        Safe where all paths of the Ingress stream, and else to be made by hand in one of their own:
            nginx.ingress.kubernetes.io/proxy-buffering: "off"
    """,
    source=f"{_NGINX}; {_DOCS}, annotations",
)
BUFFERING_EVERYWHERE = ConfigRule(
    code="ING102",
    slug="proxy-buffering-on-everywhere",
    severity=Severity.INFO,
    message="the controller buffers every Ingress that does not say otherwise",
    safety=Safety.UNSAFE,
    what="""
        The ConfigMap of ingress-nginx turns buffering on for the whole cluster; its default is off.
    """,
    why="""
        Each Ingress that streams then needs the annotation proxy-buffering: "off". Without it the
        head waits for the first byte, and a body without chunks comes in blocks of 4 KB.
    """,
    detection="""
        `proxy-buffering: "on"` in the controller's ConfigMap. Which Ingresses stream cannot be seen
        there, so this is a remark.
    """,
    measured="As ING101, with nginx 1.22.1.",
    fix="""
        Unsafe, since it changes every Ingress; or the annotation on those that stream:
            proxy-buffering: "off"
    """,
    source=f"{_NGINX}; {_DOCS}, configmap",
)
GZIP = ConfigRule(
    code="ING103",
    slug="gzip-of-event-streams",
    severity=Severity.WARNING,
    message="gzip-types has {kind} and proxy-buffering is on: event streams are held to their end",
    safety=Safety.UNSAFE,
    what="The controller compresses event streams, and buffers them before.",
    why="""
        It is the worst hold there is: a short answer comes whole at its end, a long one in steps of
        about 28 KB of compressed output. HTTP/1.1 does not help.
    """,
    detection="""
        The ConfigMap has `use-gzip: "true"`, gzip-types with text/event-stream or `*`, and
        `proxy-buffering: "on"`. With buffering off, the default, nginx flushes after each event.
    """,
    measured="""
        nginx 1.22.1, 120 events in 3 s: the first came 3001 ms late, all at once; with buffering
        off 0.2 ms.
    """,
    fix="""
        Unsafe, since it changes every Ingress; or take the type out of gzip-types:
            proxy-buffering: "off"
    """,
    source=f"{_NGINX}; {_DOCS}, configmap",
)
OLD_HTTP = ConfigRule(
    code="ING104",
    slug="old-http-upstream",
    severity=Severity.WARNING,
    message=(
        'proxy-http-version "1.0": when the service dies in mid-stream, the client sees a clean end'
    ),
    safety=Safety.UNSAFE,
    what="""
        The annotation takes the Ingress back to HTTP/1.0, whose bodies end with their connection.
    """,
    why="""
        nginx cannot tell an end from a crash, so a truncated answer looks complete; each request
        costs a connection; and with buffering the stream comes in blocks of 4 KB.
    """,
    detection="""
        The annotation is "1.0" on an Ingress that streams; the default is 1.1.
    """,
    measured="""
        nginx 1.22.1, an origin that drops the connection: over 1.0 the client sees a clean end,
        over 1.1 a truncated chunked body.
    """,
    fix="""
        Unsafe, since the protocol changes for the whole Ingress:
            nginx.ingress.kubernetes.io/proxy-http-version: "1.1"
    """,
    source=f"{_NGINX}; {_DOCS}, annotations",
)
SNIPPET_TWICE = ConfigRule(
    code="ING201",
    slug="snippet-says-it-twice",
    severity=Severity.WARNING,
    message=(
        "{directive} in a snippet stands beside the controller's own line, "
        "and nginx refuses a directive that stands twice"
    ),
    safety=Safety.SAFE,
    what="""
        The controller writes proxy_buffering, proxy_read_timeout and others into each location, and
        then the snippet. nginx refuses the result: `"proxy_buffering" directive is duplicate`.
    """,
    why="""
        The controller keeps its old configuration, or its webhook refuses the Ingress; either way
        the line that was to free the stream does nothing, and holds back all later changes.
    """,
    detection="""
        Configuration-snippet of an Ingress that streams has one of proxy_buffering,
        proxy_request_buffering, proxy_http_version, proxy_buffer_size, proxy_buffers,
        proxy_read_timeout, proxy_send_timeout, proxy_connect_timeout.
    """,
    fix="""
        Safe: the annotation of that name; an edit is offered where it says what is the default.
            nginx.ingress.kubernetes.io/proxy-buffering: "off"
            nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
    """,
    source=f"{_TEMPLATE}; nginx 1.22.1",
)
ACCEL_UPSTREAM = ConfigRule(
    code="ING202",
    slug="x-accel-buffering-sent-upstream",
    severity=Severity.INFO,
    message=(
        "proxy_set_header X-Accel-Buffering sends the header to the service, where it does nothing"
    ),
    safety=Safety.SAFE,
    what="""
        X-Accel-Buffering is a response header: nginx obeys it when the service sends it.
        proxy_set_header puts it into the request.
    """,
    why="""
        Alone, not at all, as ingress-nginx does not buffer by default. It is a warning where
        proxy-buffering is "on": there it looks like the fix, and is none.
    """,
    detection="Configuration-snippet of an Ingress that streams has the line.",
    measured="""
        nginx 1.22.1 with this line and buffering: the first event 1651 ms late, as without it.
    """,
    fix="""
        Safe: take the line away, and where buffering is on:
            nginx.ingress.kubernetes.io/proxy-buffering: "off"
    """,
    source=f"{_NGINX}; {_DOCS}, annotations",
)
CHUNKS_OFF = ConfigRule(
    code="ING203",
    slug="chunked-transfer-encoding-off",
    severity=Severity.WARNING,
    message=(
        "chunked_transfer_encoding off only takes the chunks away: "
        "the body ends with the connection, and a cut looks like an end"
    ),
    safety=Safety.SAFE,
    what="This line changes how the body is framed for HTTP/1.1 clients, not when it is sent.",
    why="""
        It stands in many recipes and does nothing for a hold. Without chunks a client cannot tell a
        cut from an end, and an nginx further out goes back to blocks of 4 KB.
    """,
    detection="Configuration-snippet of an Ingress that streams has the line.",
    measured="""
        nginx 1.22.1: an nginx with HTTP/1.1 before a hop with this line held 1651 ms, before one
        without it 0.1 ms.
    """,
    fix="Safe: take the line away.",
    source=f"{_NGINX}; RFC 9112, 8",
)
UNQUOTED = ConfigRule(
    code="ING204",
    slug="value-without-quotes",
    severity=Severity.WARNING,
    message="{key}: {value} is no text in YAML, and Kubernetes takes only texts here",
    safety=Safety.SAFE,
    what="""
        Annotations and the data of a ConfigMap are texts. `off` without quotes is a boolean in the
        YAML of Kubernetes, and `3600` a number.
    """,
    why="The API server refuses the whole object, so what worked before goes on, held or cut.",
    detection="""
        The value of an annotation of ingress-nginx on an Ingress that streams, or of a key about
        streams in its ConfigMap, has no quotes and reads as a boolean, number or nothing.
    """,
    fix="""
        Safe:
            nginx.ingress.kubernetes.io/proxy-buffering: "off"
    """,
    source=f"{_DOCS}, annotations and configmap; yaml.org/type/bool.html",
)
UNIT = ConfigRule(
    code="ING205",
    slug="timeout-with-a-unit",
    severity=Severity.WARNING,
    message=(
        "{key} takes seconds without a unit: {value} is not read, and the default of 60 s holds"
    ),
    safety=Safety.SAFE,
    what="Timeouts of ingress-nginx are whole numbers of seconds.",
    why="""
        A value like "3600s" cannot be read as a number and is dropped: the limit stays at 60 s, and
        a silent stream is cut although the line seems to forbid it.
    """,
    detection="""
        The annotation proxy-read-timeout or proxy-send-timeout of an Ingress that streams is a time
        as nginx writes it, with a unit.
    """,
    fix="""
        Safe:
            nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
    """,
    source=f"{_DOCS}, annotations, custom timeouts",
)
READ_TIMEOUT = ConfigRule(
    code="ING401",
    slug="read-timeout-near-heartbeat",
    severity=Severity.WARNING,
    message=(
        "proxy-read-timeout is {limit} s: a silence of that length ends the stream, "
        "and heartbeats come each {heartbeat} s"
    ),
    safety=Safety.SAFE,
    what="nginx ends a response when the service has sent nothing for this long.",
    why="A long prefill or a tool call is silent for a minute and more.",
    detection="""
        The annotation of an Ingress that streams, 60 s by default, is not above twice the heartbeat
        interval (setting `heartbeat`, 15 s by default): one late heartbeat is then fatal.
    """,
    measured="""
        nginx 1.22.1: a silent stream was cut at its limit (60.06 s); a comment each second kept it
        alive.
    """,
    fix="""
        Safe:
            nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
    """,
    source=f"{_NGINX}; {_DOCS}, annotations, custom timeouts",
)
READ_TIMEOUT_EVERYWHERE = ConfigRule(
    code="ING402",
    slug="read-timeout-near-heartbeat-everywhere",
    severity=Severity.INFO,
    message=(
        "every Ingress that does not say otherwise is cut after {limit} s of silence, "
        "and heartbeats come each {heartbeat} s"
    ),
    safety=Safety.UNSAFE,
    what="""
        The ConfigMap of ingress-nginx lowers the limit for the whole cluster; its default is 60 s.
    """,
    why="""
        Each Ingress that streams then needs an annotation of its own, or loses streams that are
        silent while a model thinks.
    """,
    detection="""
        Proxy-read-timeout in the controller's ConfigMap is not above twice the heartbeat interval.
        Which Ingresses stream cannot be seen there, so this is a remark.
    """,
    measured="As ING401, with nginx 1.22.1.",
    fix="""
        Unsafe, since it changes every Ingress; or the annotation on those that stream:
            proxy-read-timeout: "3600"
    """,
    source=f"{_NGINX}; {_DOCS}, configmap",
)
SHUTDOWN = ConfigRule(
    code="ING403",
    slug="worker-shutdown-cuts-streams",
    severity=Severity.INFO,
    message=(
        "worker-shutdown-timeout {limit}: whenever the configuration changes, "
        "streams that are older are cut so much later"
    ),
    safety=Safety.UNSAFE,
    what="After a reload old workers go on with the requests they have, for this long at most.",
    why="""
        Any change of an Ingress in the cluster reloads nginx, and each stream that is still running
        when the time is over is cut, however lively. Heartbeats do not help.
    """,
    detection="The ConfigMap sets it below 240 s, which is the default.",
    fix="""
        Unsafe, since old workers then keep their memory for longer:
            worker-shutdown-timeout: "3600s"
    """,
    source=f"{_DOCS}, configmap, worker-shutdown-timeout",
)

RULES = (
    BUFFERING_ON,
    BUFFERING_EVERYWHERE,
    GZIP,
    OLD_HTTP,
    SNIPPET_TWICE,
    ACCEL_UPSTREAM,
    CHUNKS_OFF,
    UNQUOTED,
    UNIT,
    READ_TIMEOUT,
    READ_TIMEOUT_EVERYWHERE,
    SHUTDOWN,
)
