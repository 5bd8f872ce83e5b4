"""The running monitor: scheduler, metrics, log, webhooks and pages together."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from undam.monitor.metrics import MonitorMetrics
from undam.monitor.notify import Webhooks, change_json, slack_json, time_text
from undam.monitor.objectives import Objective
from undam.monitor.probe_result import ProbeResult, ProbeSummary
from undam.monitor.scheduler import Scheduler
from undam.monitor.settings import MonitorSettings, MonitorTarget
from undam.monitor.store import StateChange, Store
from undam.monitor.web import Asked, WebAnswer, WebServer
from undam.secrecy import redact_url

_DAY_S = 86_400
_PAGE_PROBES = 200
# Number of points per chart. A chart is about twice as many pixels wide.
_PAGE_POINTS = 120
_HTML = "text/html; charset=utf-8"
_NO_PROBE = b"no probe is possible now: the budget is used up, or Retry-After has not elapsed\n"
_NOT_FOUND = b"not found: use /, /target/NAME, /metrics, /probe?target=NAME or /healthz\n"

RenderPage = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Pages:
    """Functions that render the data from `overview` and `target_view` as pages."""

    overview: RenderPage
    target: RenderPage


class MonitorService:
    """Service that runs the probes and serves their results over HTTP.

    Args:
        log: receives each line of the log, as JSON.
    """

    def __init__(
        self, settings: MonitorSettings, store: Store, pages: Pages, log: Callable[[str], None]
    ) -> None:
        self._store = store
        self._pages = pages
        self._log = log
        self._metrics = MonitorMetrics()
        self._hooks = self._webhooks(settings)
        self.scheduler = Scheduler(settings, store, self)
        for change in reversed(store.changes()):
            self._metrics.add_change(change)
        if store.set_aside is not None:
            self.problem(f"the database was damaged; it was renamed to {store.set_aside}")

    def _webhooks(self, settings: MonitorSettings) -> Webhooks:
        urls = {}
        if settings.webhook is not None:
            urls[settings.webhook] = change_json
        if settings.slack_webhook is not None:
            urls[settings.slack_webhook] = slack_json
        return Webhooks(urls, self.problem)

    def use(self, settings: MonitorSettings) -> None:
        """Apply a new configuration."""
        before = self.scheduler.settings
        if (settings.state, settings.retention_days) != (before.state, before.retention_days):
            self.problem("changes to state and retention_days take effect after a restart")
        self._hooks = self._webhooks(settings)
        self.scheduler.use(settings)
        kept = {one.name: one for one in settings.targets}
        for one in before.targets:
            if kept.get(one.name) != one:
                self._metrics.remove(one.name)
        for change in reversed(self._store.changes()):
            if change.target in kept and kept[change.target] not in before.targets:
                self._metrics.add_change(change)
        self._log(json.dumps({"kind": "reloaded", "at": time_text(time.time()),
                              "targets": len(settings.targets)}))  # fmt: skip

    def probed(self, target: MonitorTarget, result: ProbeResult) -> None:
        """Update the metrics after a probe."""
        self._metrics.add_probe(target, result)
        recent = self._recent(target) or [result.summary]
        for objective in target.objectives:
            met = objective.is_met(recent)
            if met is not None:
                self._metrics.set_objective(target, objective.text, met=met)
        row = {"kind": "probe", "at": time_text(result.at_s), "target": target.name,
               "verdict": result.verdict, "ttft_ms": result.ttft_ms, "error": result.error,
               "findings": list(result.codes)}  # fmt: skip
        self._log(json.dumps(row))

    def changed(self, change: StateChange) -> None:
        """Log a change, count it in the metrics, and send it to the webhooks."""
        self._metrics.add_change(change)
        self._log(json.dumps(change_json(change)))
        self._hooks.send(change)

    def problem(self, text: str) -> None:
        """Log a problem in the monitor itself."""
        self._log(json.dumps({"kind": "problem", "at": time_text(time.time()), "text": text}))

    async def run(self, host: str, port: int, ready: Callable[[str], None]) -> None:
        """Serve requests and probe targets until the task is cancelled.

        Args:
            ready: receives the URL when the server listens.
        """
        server = WebServer(self.answer)
        address, number = await server.start(host, port)
        shown = f"[{address}]" if ":" in address else address
        ready(f"http://{shown}:{number}")
        try:
            await self.scheduler.run()
        finally:
            await server.close()
            await self._hooks.finish()

    async def run_once(self) -> dict[str, ProbeResult]:
        """Probe each target once; return the results by target."""
        results = await self.scheduler.run_once()
        await self._hooks.finish()
        return results

    def missed(self, target: MonitorTarget) -> list[Objective]:
        """Return the objectives that a target does not meet, according to its recent probes."""
        recent = self._recent(target)
        return [one for one in target.objectives if one.is_met(recent) is not True]

    def _recent(self, target: MonitorTarget) -> list[ProbeSummary]:
        return self._store.summaries(target.name, time.time() - _DAY_S)

    async def answer(self, asked: Asked) -> WebAnswer:
        """Return the response to a request."""
        if asked.path == "/healthz":
            return WebAnswer(b"ok\n")
        if asked.path == "/metrics":
            for one in self.scheduler.schedules.values():
                self._metrics.set_budget_left(one.target, self.scheduler.budget_left(one))
            body, content_type = self._metrics.exposition(asked.accept)
            return WebAnswer(body, content_type)
        if asked.path == "/probe":
            return await self._probe(asked)
        if asked.path == "/":
            return WebAnswer(self._pages.overview(self.overview()).encode(), _HTML)
        name = asked.path.removeprefix("/target/")
        schedule = self.scheduler.schedules.get(name)
        if name != asked.path and schedule is not None:
            return WebAnswer(self._pages.target(self.target_view(schedule.target)).encode(), _HTML)
        return WebAnswer(_NOT_FOUND, status=404)

    async def _probe(self, asked: Asked) -> WebAnswer:
        """Probe one target now, within its budgets, and return only the metrics for it."""
        schedule = self.scheduler.schedules.get(asked.query.get("target", ""))
        if schedule is None:
            return WebAnswer(b"unknown target: use /probe?target=NAME\n", status=404)
        result = await self.scheduler.examine(schedule.target)
        if result is None:
            return WebAnswer(_NO_PROBE, status=503)
        metrics = MonitorMetrics()
        metrics.add_probe(schedule.target, result)
        body, content_type = metrics.exposition(asked.accept)
        return WebAnswer(body, content_type)

    def overview(self) -> dict[str, Any]:
        """Return the data for the page that lists all targets."""
        targets = [one.target for one in self.scheduler.schedules.values()]
        return {"at": time_text(time.time()), "targets": [self._summary(one) for one in targets]}

    def _summary(self, target: MonitorTarget) -> dict[str, Any]:
        recent = self._recent(target)
        changes = self._store.changes(target.name, 1)
        last = next(iter(self._store.probes(target.name, 0, 1)), None)
        return {
            "name": target.name,
            "url": redact_url(target.options.edge.url.partition("?")[0]),
            "verdict": last.verdict if last else None,
            "error": last.error if last else None,
            "at": time_text(last.at_s) if last else None,
            "ttft_ms": _thinned(
                [(one.at_s, one.ttft_ms) for one in recent if one.ttft_ms is not None]
            ),
            "holds": [(hop.name, hop.hold_ms) for hop in (last.hops if last else ())],
            "last_change": _change_row(changes[0]) if changes else None,
            "missed": [one.text for one in target.objectives if one.is_met(recent) is False],
        }

    def target_view(self, target: MonitorTarget) -> dict[str, Any]:
        """Return the data for the page about one target."""
        changes = [_change_row(one) for one in self._store.changes(target.name)]
        probes = [
            {"at": time_text(one.at_s), "at_s": one.at_s, "verdict": one.verdict,
             "ttft_ms": one.ttft_ms, "hold_ms": one.hold_ms, "error": one.error,
             "findings": list(one.codes)}
            for one in self._store.probes(target.name, time.time() - _DAY_S, _PAGE_PROBES)
        ]  # fmt: skip
        return {
            **self._summary(target),
            "changes": changes,
            "probes": probes,
            "arrivals_ms": self._store.arrivals_ms(target.name),
        }


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most `_PAGE_POINTS` points: the maxima of successive parts of equal length."""
    size = -(-len(points) // _PAGE_POINTS) or 1
    parts = (points[at : at + size] for at in range(0, len(points), size))
    return [max(part, key=lambda one: one[1]) for part in parts]


def _change_row(change: StateChange) -> dict[str, Any]:
    return {
        "at": time_text(change.at_s),
        "text": change.text,
        "before": _state_rows(change.before),
        "after": _state_rows(change.after),
    }


def _state_rows(result: ProbeResult) -> Sequence[tuple[str, str]]:
    """Return the result of a probe as table rows."""
    rows = [("verdict", result.verdict)]
    if result.error is not None:
        rows.append(("error", result.error))
    if result.ttft_ms is not None:
        rows.append(("TTFT", f"{result.ttft_ms:.1f} ms"))
    for hop in result.hops:
        parts = [hop.verdict, f"Server: {hop.server}" if hop.server else "no Server header"]
        rows.append((hop.name, ", ".join([*parts, *hop.headers])))
    return rows


async def serve(
    service: MonitorService, host: str, port: int, ready: Callable[[str], None]
) -> None:
    """Run a service in a separate task, so that a signal can cancel it."""
    task = asyncio.create_task(service.run(host, port, ready))
    try:
        await task
    except asyncio.CancelledError:
        task.cancel()
        raise
