"""Python: the middleware that compresses, the servers that cut, and mitmproxy."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

_STARLETTE = Fix("starlette", "starlette>=0.46.0")

STARLETTE_GZIP = Intermediary(
    name="starlette-gzip",
    title="Starlette GZipMiddleware",
    kind="framework",
    signs=(),
    holds=(
        "Held event streams up to 0.45.3 and leaves them out from 0.46.0; held NDJSON up to 1.4.0."
    ),
    cuts="None of its own.",
    fixes={Trouble.HOLD: _STARLETTE, Trouble.COMPRESSION: _STARLETTE},
    evidence="measured",
    version="0.45.3, 0.46.0, 1.4.0",
    source="measured; starlette.dev, GZipMiddleware",
)

GUNICORN = Intermediary(
    name="gunicorn",
    title="Gunicorn",
    kind="framework",
    signs=(Sign("server", r"^gunicorn\b"),),
    holds="No source found for a hold.",
    cuts="A sync worker is killed after 30 s in one request.",
    fixes={Trouble.TOTAL_LIMIT: Fix("gunicorn", 'worker_class = "gevent"')},
    total_limit_s=30.0,
    evidence="documented",
    source="docs.gunicorn.org, timeout and worker_class",
)

UWSGI = Intermediary(
    name="uwsgi",
    title="uWSGI",
    kind="framework",
    signs=(),
    holds="No source found for a hold; a body without a length ends with the connection.",
    cuts="http-timeout: 60 s of silence.",
    fixes={
        Trouble.CLOSE_DELIMITED: Fix("uwsgi", "http-auto-chunked = true"),
        Trouble.IDLE_LIMIT: Fix("uwsgi", "http-timeout = 3600"),
    },
    idle_limit_s=60.0,
    evidence="documented",
    source="uwsgi-docs.readthedocs.io, HTTP router options",
)

MITMPROXY = Intermediary(
    name="mitmproxy",
    title="mitmproxy",
    kind="proxy",
    signs=(),
    holds="Holds the whole response.",
    cuts="No source found.",
    fixes={Trouble.HOLD: Fix("mitmproxy", "--set stream_large_bodies=1")},
    evidence="measured",
    version="11",
    source="measured on loopback, reverse mode; docs.mitmproxy.org, stream_large_bodies",
)
