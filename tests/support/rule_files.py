"""Runs the `bad` and `fixed` files of a rule with the real program in front of a simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.live import RunProxy, Simulator, check, hop_json, measure
from support.proxy_programs import Program, start_with_config, with_ports
from undam.lab.proxies import RunningProxy
from undam.lab.proxies.plan import Workspace
from undam.lint import RenderRequest, dialect_named
from undam.probe import Report

RULES = Path(__file__).parents[1] / "rules"
KINDS = ("bad", "good", "fixed")

StartSim = Callable[..., Simulator]
Shorter = tuple[tuple[str, str], ...]
"""(text in the file, replacement): shorter times than in the file."""

QUICK = ("--ttft", "50", "--gap", "5", "--tokens", "200")
SLOW = ("--ttft", "50", "--gap", "25", "--tokens", "50")
"""A delay of one event is detectable only if gaps are longer than the delays of a machine."""
SILENT = ("--ttft", "50", "--gap", "5", "--tokens", "30", "--stall-after", "20", "--stall", "2500")


def codes(letters: str) -> list[str]:
    """Return the codes of the rules of a dialect that have files."""
    return sorted(path.name for path in RULES.glob(f"{letters}[1-6]*"))


def text_of(code: str, kind: str) -> str:
    """Return the text of a file of a rule."""
    (file,) = (RULES / code).glob(f"{kind}.*")
    return file.read_text("utf-8")


def start_file(
    run_proxy: RunProxy,
    program: Program,
    text: str,
    model: Simulator,
    ports: Callable[[str, int, int], str] | None = None,
) -> RunningProxy:
    """Run a program with a text in front of a simulator.

    Args:
        ports: ``(text, port to listen on, port of the simulator)`` -> text, if the ports are not
            written as HOST:PORT.
    """
    if ports is None:
        return run_proxy(start_with_config, program, text, origin=model.url)
    origin = int(model.url.rpartition(":")[2])

    def placed(place: Workspace) -> str:
        return ports(with_ports(text, listen=place.port, origin=origin), place.port, origin)

    return run_proxy(start_with_config, program, placed, origin=model.url)


def check_bad_and_fixed(
    run_proxy: RunProxy,
    program: Program,
    code: str,
    model: Simulator,
    *,
    shorter: Shorter = (),
    ports: Callable[[str, int, int], str] | None = None,
) -> tuple[Report, Report]:
    """Check `bad` and `fixed` of a rule concurrently."""
    running = []
    for kind in ("bad", "fixed"):
        text = text_of(code, kind)
        for old, new in shorter:
            assert kind == "fixed" or old in text
            text = text.replace(old, new)
        running.append(start_file(run_proxy, program, text, model, ports))
    bad, fixed = measure(model, lambda: [check(one.url, beacon=True) for one in running])
    return bad, fixed


def verdicts(reports: tuple[Report, Report]) -> tuple[str, str]:
    """Return the verdicts of the checks of `bad` and `fixed`."""
    return hop_json(reports[0])["verdict"], hop_json(reports[1])["verdict"]


def completes(reports: tuple[Report, Report]) -> tuple[bool, bool]:
    """Return whether the responses through `bad` and `fixed` were complete."""
    return hop_json(reports[0])["complete"], hop_json(reports[1])["complete"]


def check_rendered(
    run_proxy: RunProxy, program: Program, dialect: str, model: Simulator, **request: Any
) -> Report:
    """Check a proxy that runs with the output of `render`."""

    def text(place: Workspace) -> str:
        listen = f"127.0.0.1:{place.port}"
        asked = RenderRequest(upstream=model.url, listen=listen, **request)
        return dialect_named(dialect).render(asked)

    proxy = run_proxy(start_with_config, program, text)
    (report,) = measure(model, lambda: [check(proxy.url, beacon=True)])
    return report


def check_alone(url: str, **options: Any) -> Report:
    """Check one URL with a beacon."""
    return asyncio.run(check(url, beacon=True, **options))
