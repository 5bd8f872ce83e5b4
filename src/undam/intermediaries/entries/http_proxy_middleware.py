"""http-proxy-middleware."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN_NEW = measured(
    "4.2.2",
    "scripts/measure-intermediaries node --idle 75, with NODE_PATH at the library",
    checked="2026-11",
)
_RUN_OLD = measured("3.0.10", "scripts/measure-intermediaries node --idle 75", checked="2026-11")
_RUN_FIX = measured(
    "4.2.2", "a relay with these options: closed and reset streams are truncated", checked="2026-11"
)
_RUN_INTERCEPTOR = measured(
    "3.0.11", "undam check through Express with responseInterceptor", checked="2026-11"
)

ENTRY = Intermediary(
    name="http-proxy-middleware",
    title="http-proxy-middleware",
    kind="framework",
    claims=(
        Behaviour(Aspect.HOLDS, "Streams.", evidence=_RUN_NEW),
        Behaviour(
            Aspect.HOLDS,
            "Holds the whole response and gives it a Content-Length.",
            evidence=_RUN_INTERCEPTOR,
            conditions={"configuration": "responseInterceptor()"},
        ),
        Behaviour(Aspect.HEAD, "The head waits for the first byte of the body.", evidence=_RUN_NEW),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            "It has no idle limit; a stream survives 75 s of silence.",
            evidence=_RUN_NEW,
        ),
        Behaviour(
            Aspect.BROKEN_ORIGIN,
            (
                "An orderly close is forwarded as a truncated body. A reset adds the text "
                '"Error occurred while trying to proxy: …" to the stream and ends it '
                "cleanly."
            ),
            evidence=_RUN_NEW,
            since="4",
        ),
        Behaviour(
            Aspect.BROKEN_ORIGIN,
            (
                'After an orderly close, the client hangs. A reset adds the text "Error '
                'occurred while trying to proxy: …" to the stream and ends it cleanly.'
            ),
            evidence=_RUN_OLD,
            until="4",
        ),
        Behaviour(Aspect.CLIENT_LEAVES, "The origin is notified within 5 ms.", evidence=_RUN_NEW),
        Remedy(
            Trouble.HOLD,
            "http-proxy-middleware",
            "selfHandleResponse: false,  // and no responseInterceptor on this route",
            evidence=_RUN_INTERCEPTOR,
        ),
        Remedy(
            Trouble.HIDES_CUT,
            "http-proxy-middleware",
            ("ejectPlugins: true,\non: { error: (error, req, res) => res.destroy() },"),
            evidence=_RUN_FIX,
            since="4",
        ),
    ),
)
