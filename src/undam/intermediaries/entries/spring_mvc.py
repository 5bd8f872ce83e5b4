"""Spring MVC on Tomcat (SseEmitter, Flux)."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_REPORT = documented(
    "spring-framework#24030, spring-boot#4021, spring-boot-web-reactive#73", checked="2026-11"
)

ENTRY = Intermediary(
    name="spring-mvc",
    title="Spring MVC on Tomcat (SseEmitter, Flux)",
    kind="server",
    claims=(
        Limit(
            Aspect.CUTS_TOTAL,
            30,
            (
                "The timeout of asynchronous requests is 30 s, even for a stream that is "
                "still sending."
            ),
            evidence=_REPORT,
        ),
        Remedy(
            Trouble.TOTAL_LIMIT,
            "spring-mvc",
            "spring.mvc.async.request-timeout=-1",
            evidence=_REPORT,
        ),
    ),
)
