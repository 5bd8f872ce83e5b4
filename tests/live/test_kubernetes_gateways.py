"""Envoy with the routes that Envoy Gateway generates for HTTPRoute resources.

envoyproxy/gateway v1.9.0, xds/translator/route.go: a request timeout becomes the timeout of the
route, and its limit on silence becomes one hour or more. A request timeout of 0s disables both.
"""

from __future__ import annotations

from support.live import RunProxy, check, measure
from support.proxy_programs import ENVOY, LISTEN_PORT, ORIGIN_PORT, start_with_config
from support.rule_cases.model import COMPLETE, CUT, SILENT, StartSim, rule_text
from undam.lab.proxies.plan import Workspace

# Listener with the idle timeout that a ClientTrafficPolicy sets.
LISTENER = ("stat_prefix: edge", "stat_prefix: edge\n                stream_idle_timeout: 1s")
ROUTES = {
    "no timeouts": "",
    "request: 0s": "timeout: 0s\n                            idle_timeout: 0s",
    "request: 1s": "timeout: 1s\n                            idle_timeout: 3600s",
}


def test_timeouts_of_a_rule_replace_the_limit_on_silence_of_the_listener(
    simulator: StartSim, run_proxy: RunProxy
) -> None:
    model = simulator(*SILENT, "--stall", "4000")
    origin = int(model.url.rpartition(":")[2])

    def start(fields: str) -> str:
        text = rule_text("ENV401", "fixed").replace("timeout: 0s", fields).replace(*LISTENER)

        def placed(place: Workspace) -> str:
            here = text.replace(f": {LISTEN_PORT}", f": {place.port}")
            return here.replace(f": {ORIGIN_PORT}", f": {origin}")

        return run_proxy(start_with_config, ENVOY, placed, origin=model.url).url

    urls = [start(fields) for fields in ROUTES.values()]
    reports = measure(model, lambda: [check(url, beacon=True) for url in urls])
    for expected, report in zip((CUT, COMPLETE, CUT), reports, strict=True):
        expected.verify(report)
