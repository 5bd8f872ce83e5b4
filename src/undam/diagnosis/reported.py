"""Durations that a gateway or a provider reports in its own response headers."""

from __future__ import annotations

import math

from undam.record import Head

# Header names, each with the quantity that it reports and the factor that converts it to ms.
_REPORTED = {
    "x-litellm-overhead-duration-ms": ("gateway_overhead", 1.0),
    "x-litellm-response-duration-ms": ("gateway_total", 1.0),
    "x-litellm-callback-duration-ms": ("gateway_callbacks", 1.0),
    "x-kong-proxy-latency": ("gateway_overhead", 1.0),
    "x-kong-upstream-latency": ("upstream", 1.0),
    "x-envoy-upstream-service-time": ("upstream", 1.0),
    "openai-processing-ms": ("model", 1.0),
    "llm_provider-openai-processing-ms": ("model", 1.0),
    "x-inference-time": ("model", 1.0),
    "x-compute-time": ("model", 1000.0),
}


def reported_ms(head: Head | None) -> dict[str, float]:
    """Return the durations in a response head in ms, keyed by the measured quantity.

    They are the values of the hop that sent them; this program did not measure them.
    """
    found: dict[str, float] = {}
    for name, value in head.headers if head is not None else ():
        known = _REPORTED.get(name.lower())
        if known is None:
            continue
        try:
            number = float(value)
        except ValueError:
            continue
        if math.isfinite(number) and number >= 0:
            found.setdefault(known[0], round(number * known[1], 3))
    return found
