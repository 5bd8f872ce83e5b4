"""Live rule cases for Traefik.

Traefik has no command that validates a file. A file is accepted if its routers answer and nothing
is logged as an error.
"""

from __future__ import annotations

import http.client
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support.live import RunProxy, Simulator
from support.proxy_programs import Program, start_with_config
from support.rule_cases.model import (
    COMPLETE,
    LATE_HEAD,
    STREAMS,
    Expected,
    LiveDialect,
    RuleCase,
    cut_case,
    held_case,
    rule_file,
    rule_text,
    verdict,
)
from undam.lab.proxies import RunningProxy
from undam.lab.proxies.plan import Workspace

_READY_S = 15.0
# If a file is invalid, Traefik logs that soon after the start.
_LOGGED_S = 1.0


def _program(suffix: str) -> Program:
    name = f"traefik{suffix}"
    run = (f"--configFile={name}",)
    return Program(name="traefik", config_name=name, check=(), run=run, version_flag="version")


def _has_routes(proxy: RunningProxy) -> bool:
    """Wait until Traefik, which is already listening, has read its dynamic configuration."""
    address = urlsplit(proxy.url)
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        conn = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
        try:
            conn.request("GET", "/v1/chat/completions")
            if conn.getresponse().status != 404:
                return True
        finally:
            conn.close()
        time.sleep(0.05)
    return False


class _LiveTraefik(LiveDialect):
    def validate(
        self, code: str, text: str, _folder: Path, run_proxy: RunProxy
    ) -> tuple[bool, str]:
        proxy = run_proxy(start_with_config, _program(rule_file(code, "bad").suffix), text)
        if text == self.invalid:
            time.sleep(_LOGGED_S)
        else:
            assert _has_routes(proxy), proxy.log()
        return "ERR" not in proxy.log(), proxy.log()

    def start(self, run_proxy: RunProxy, code: str, text: str, model: Simulator) -> RunningProxy:
        program = _program(rule_file(code, "bad").suffix)
        proxy = run_proxy(start_with_config, program, text, origin=model.url)
        assert _has_routes(proxy), proxy.log()
        return proxy

    def start_rendered(self, run_proxy: RunProxy, model: Simulator, **options: Any) -> RunningProxy:
        def text(place: Workspace) -> str:
            return self.rendered(place, model, **options)

        proxy = run_proxy(start_with_config, self.program, text)
        assert _has_routes(proxy), proxy.log()
        assert "ERR" not in proxy.log()
        return proxy


LIVE = _LiveTraefik(
    name="traefik",
    letters="TRF",
    program=_program(".yaml"),
    invalid=rule_text("TRF101", "good").replace("customRequestHeaders", "noSuchField"),
    rejection="noSuchField",
    has_idle_limit=False,
    cases=(
        held_case("TRF101"),
        RuleCase(
            code="TRF102",
            bad=verdict("streaming", content_encoding="gzip"),
            fixed=verdict("streaming", content_encoding=""),
        ),
        held_case("TRF201"),
        RuleCase(code="TRF202", bad=STREAMS, fixed=STREAMS),
        # In `fixed`, this replacement shortens only the readTimeout, which does not cut the stream.
        cut_case(
            "TRF401", ("30s", "1s"), simulator=("--ttft", "50", "--gap", "50", "--tokens", "60")
        ),
        RuleCase(
            code="TRF402",
            simulator=LATE_HEAD,
            replace=(('"10s"', '"300ms"'),),
            bad=Expected(status=504),
            fixed=COMPLETE,
        ),
    ),
)
