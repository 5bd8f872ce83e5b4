"""The rules of VCL, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_MEASURED = "measured on loopback with varnish 7.1.1"

_FIX = """\
Fix: safe; only event streams pass without it. On a route of its own the value is turned round.
    if (beresp.http.Content-Type !~ "text/event-stream") {{
        set beresp.{name} = {value};
    }}
"""

NO_STREAM = ConfigRule(
    "VRN101",
    "response-not-streamed",
    Severity.ERROR,
    "'beresp.do_stream = false' holds the whole response",
    """\
What: Varnish streams by default. With `set beresp.do_stream = false;` it fetches the whole response
before it delivers the first byte, and adds a Content-Length.
Why it hurts: the first token comes with the last one; heartbeats are held, too; and early headers
would prove nothing, for there are none.
How it is told: the statement stands where a streaming response meets it: its conditions on the URL
and Content-Type are looked at, and one that asks for anything else is left alone.
"""
    + _FIX.format(name="do_stream", value="false")
    + """\
Measured: varnish 7.1.1, 120 events 25 ms apart: all came after 3.0 s; by default 0.2 ms late.
Source: vcl-var(7), beresp.do_stream.
""",
    Safety.SAFE,
    _MEASURED + "; vcl-var(7), beresp.do_stream",
)

ESI = ConfigRule(
    "VRN102",
    "esi-on-event-streams",
    Severity.ERROR,
    "'beresp.do_esi = true' holds the whole response",
    """\
What: to look for ESI tags Varnish reads the whole response before it delivers the first byte.
Why it hurts: the first token comes with the last one, and an event stream has no such tags.
How it is told: the statement stands where a streaming response meets it. One that is asked for by
Surrogate-Control, or by another type than text/event-stream, is left alone.
"""
    + _FIX.format(name="do_esi", value="true")
    + """\
Measured: varnish 7.1.1, 120 events 25 ms apart: all came after 3.0 s, with a Content-Length.
Source: vcl-var(7), beresp.do_esi.
""",
    Safety.SAFE,
    _MEASURED + "; vcl-var(7), beresp.do_esi",
)

GZIP = ConfigRule(
    "VRN103",
    "event-stream-gzipped",
    Severity.ERROR,
    "'beresp.do_gzip = true' holds a stream in blocks of 16 KB of gzip",
    """\
What: Varnish compresses the response into blocks, and flushes nothing in between.
Why it hurts: the headers come at once, then nothing: 16 KB of gzip output are more than a whole
answer. `do_stream = true` beside it does not help.
How it is told: the statement stands where a streaming response meets it. A condition on
Content-Type that text/event-stream does not match leaves it alone; `~ "text"` matches it.
"""
    + _FIX.format(name="do_gzip", value="true")
    + """\
Measured: varnish 7.1.1, 120 events 25 ms apart: headers after 1 ms, all events after 3.0 s.
Source: vcl-var(7), beresp.do_gzip.
""",
    Safety.SAFE,
    _MEASURED + "; vcl-var(7), beresp.do_gzip",
)

TOO_LATE = ConfigRule(
    "VRN201",
    "backend-timeout-set-too-late",
    Severity.WARNING,
    "'{name}' does nothing in vcl_backend_response: the fetch keeps the limit that it began with",
    """\
What: the limits of a fetch are taken when it starts. `set bereq.between_bytes_timeout` compiles in
vcl_backend_response, but comes after that.
Why it hurts: who raises the limit there for streams still sees them cut after 60 s of silence.
How it is told: a `set` of bereq's between_bytes_timeout or first_byte_timeout stands in
vcl_backend_response, where a streaming response meets it.
Fix: none is made, for its conditions may ask for what only the response has. Set it before:
    sub vcl_backend_fetch {
        set bereq.between_bytes_timeout = 3600s;
    }
Measured: varnish 7.1.1 with a limit of 2 s in the backend and 1 h set in vcl_backend_response cut
a stream in a silence of 4.5 s; with 1 h set in vcl_backend_fetch it passed.
""",
    Safety.NONE,
    _MEASURED,
)

BETWEEN_BYTES = ConfigRule(
    "VRN401",
    "short-between-bytes-timeout",
    Severity.WARNING,
    "a stream that is silent for {limit} is cut: less than two heartbeats of {heartbeat:g} s",
    """\
What: between_bytes_timeout (60 s by default) ends a fetch whose backend is silent for so long.
Why it hurts: a model that thinks, waits in a queue or calls a tool is silent, and the client gets
a truncated stream. One heartbeat that is lost or late must not be enough for that.
How it is told: the limit of a backend that streams come from, or one that vcl_backend_fetch sets
for them, is below twice the heartbeat interval of the settings (15 s unless they say otherwise);
an error if it is no longer than one interval. Piped requests know no such limit.
Fix: an hour. Unsafe: a dead backend is noticed as late as that.
    .between_bytes_timeout = 3600s;
Measured: varnish 7.1.1 with a limit of 2 s cut a stream in a silence of 4.5 s.
Source: vcl-backend(7), between_bytes_timeout; varnishd(1), between_bytes_timeout.
""",
    Safety.UNSAFE,
    _MEASURED + "; vcl-backend(7), between_bytes_timeout",
)

FIRST_BYTE = ConfigRule(
    "VRN402",
    "short-first-byte-timeout",
    Severity.WARNING,
    "a response that begins later than {limit} becomes a 503: less than two heartbeats of "
    "{heartbeat:g} s",
    """\
What: first_byte_timeout (60 s by default) limits how long a backend may take to the first byte of
its response.
Why it hurts: a server that sends its head only with the first token is silent while the model
reads a long prompt or waits in a queue. The client gets 503 instead of the answer.
How it is told: the limit of a backend that streams come from, or one that vcl_backend_fetch sets
for them, is below twice the heartbeat interval of the settings (15 s unless they say otherwise).
Only a warning: a server that sends its head at once, and heartbeats, is not touched by it.
Fix: an hour. Unsafe: a dead backend is noticed as late as that.
    .first_byte_timeout = 3600s;
Measured: varnish 7.1.1 with a limit of 1 s answered 503 to a head that came after 2.5 s.
Source: vcl-backend(7), first_byte_timeout.
""",
    Safety.UNSAFE,
    _MEASURED + "; vcl-backend(7), first_byte_timeout",
)

RULES = (NO_STREAM, ESI, GZIP, TOO_LATE, BETWEEN_BYTES, FIRST_BYTE)
