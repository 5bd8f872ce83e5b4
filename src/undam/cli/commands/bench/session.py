"""One `undam bench` command: a single run, a sweep, or a search for the highest rate."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import FrameType, ModuleType
from typing import TYPE_CHECKING

from undam.cli.commands.bench.arguments import (
    Step,
    make_steps,
    parse_slos,
    read_prompts_file,
    require_output_files,
    search_load,
)
from undam.cli.commands.bench.breakdown import Breakdown
from undam.cli.commands.bench.live_stats import LiveStats
from undam.cli.commands.bench.options import BenchOptions
from undam.cli.commands.bench.outputs import OutputFiles
from undam.cli.commands.bench.progress import StepProgress
from undam.cli.commands.bench.setup import BenchSetup, check_options, load_about, prepare
from undam.cli.commands.bench.worker_pools import WorkerPools
from undam.cli.commands.check.arguments import url_and_json
from undam.cli.main import EXIT_CLEAN, EXIT_COULD_NOT_RUN, EXIT_FINDINGS
from undam.cli.ui.output import STDOUT, console, write_json
from undam.errors import UndamError, UsageError
from undam.loadtest.coordinator.run import RunFailed, run_load
from undam.loadtest.coordinator.search import CapacitySearch
from undam.loadtest.coordinator.split import make_jobs
from undam.loadtest.setup.slo import Slo
from undam.probe.secrecy import clean_error
from undam.record import RequestResult

if TYPE_CHECKING:
    from undam.cli.commands.bench.result import BenchResult
    from undam.loadtest.coordinator.server_metrics import ServerMetrics


def run_bench(
    urls: Sequence[str], json_to: str | None, options: BenchOptions, pools: WorkerPools
) -> int:
    """Run the load test, print its result, and return the exit code.

    Raises:
        UndamError: the test could not run; the message contains no secret.
        KeyboardInterrupt: the user interrupted it; the partial result has been printed.
    """
    url, json_to = _url_and_json(urls[0] if urls else None, json_to)
    prompts, slos = read_prompts_file(options), parse_slos(options)
    steps = make_steps(options, prompts)
    require_output_files(options, json_to)
    endpoint = check_options(url, options)
    others = [check_options(other, options) for other in urls[1:]]
    try:
        setup = prepare(endpoint, options, prompts, steps, others)
        session = BenchSession(setup, options, pools, slos)
        if options.find_max:
            return session.search(steps[0], json_to)
        if options.sweep is not None:
            return session.sweep(steps, json_to)
        return session.single(steps[0], json_to)
    except UndamError as error:
        clean_error(error, endpoint.secrets)
        raise


def _url_and_json(url: str | None, json_to: str | None) -> tuple[str, str | None]:
    try:
        return url_and_json(url, json_to)
    except UsageError as error:
        raise UsageError(str(error).replace("undam check", "undam bench")) from None


class InterruptFlag:
    """Flag that is set by the first SIGINT. A second SIGINT raises ``KeyboardInterrupt``."""

    def __init__(self) -> None:
        self.is_set = False

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Handle SIGINT inside the ``with`` block. SIGTERM also arrives as SIGINT."""

        def handle(_number: int, _frame: FrameType | None) -> None:
            if self.is_set:
                raise KeyboardInterrupt
            self.is_set = True

        before = signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class BenchSession:
    """The runs of one `undam bench` command."""

    def __init__(
        self, setup: BenchSetup, options: BenchOptions, pools: WorkerPools, slos: Sequence[Slo]
    ) -> None:
        self._setup = setup
        self._options = options
        self._pools = pools
        self._slos = slos
        self._interrupt = InterruptFlag()
        self._progress = StepProgress()

    def single(self, step: Step, json_to: str | None) -> int:
        """Make one run."""
        with OutputFiles(self._options, self._about(step), self._setup.secrets) as files:
            result, stats = self._run(step, files)
            error = files.finish(result, stats)
        _print(json_to, result.json, lambda: _text().print_result(result, console()))
        if error is not None:
            raise error
        self._raise_if_interrupted()
        if result.exit_code == EXIT_COULD_NOT_RUN:
            raise RunFailed(_why_nothing_measured(result))
        return result.exit_code

    def sweep(self, steps: Sequence[Step], json_to: str | None) -> int:
        """Run the benchmark several times in sequence."""
        results: list[BenchResult] = []
        with self._step_files() as files:
            for step in steps:
                self._progress.begin(step.label, len(results) + 1, len(steps))
                files.begin_step(step.label, self._about(step))
                results.append(self._run(step, files)[0])
                self._progress.end(results[-1].short_text)
                if self._interrupt.is_set:
                    break
            error = files.finish_steps(_steps_json(results))
        _print(
            json_to, lambda: _steps_json(results), lambda: _text().print_steps(results, console())
        )
        if error is not None:
            raise error
        self._raise_if_interrupted()
        if not any(result.has_streams for result in results):
            raise RunFailed(_why_nothing_measured(results[-1]))
        is_clean = all(result.exit_code == EXIT_CLEAN for result in results)
        return EXIT_CLEAN if is_clean else EXIT_FINDINGS

    def search(self, step: Step, json_to: str | None) -> int:
        """Make runs at different loads, to find the highest load that meets the objectives."""
        is_closed = not step.load.is_open
        first = step.load.concurrency if is_closed else step.load.rate
        assert first is not None
        search = CapacitySearch(first, is_integer=is_closed)
        results: list[BenchResult] = []
        with self._step_files() as files:
            while search.next is not None and not self._interrupt.is_set:
                load = search_load(
                    step.load, search.next, search.length, self._options, number=search.steps
                )
                label = f"c={search.next:g}" if is_closed else f"{search.next:g}/s"
                one = Step(label, load)
                self._progress.begin(label, search.steps + 1, None)
                files.begin_step(label, self._about(one))
                result, stats = self._run(one, files, stop_if_failing=True)
                results.append(result)
                self._progress.end(result.short_text)
                if not self._interrupt.is_set:
                    search.record(result.outcome(is_failing=stats.is_failing))
            report = {**_search_json(search, results), "interrupted": self._interrupt.is_set}
            error = files.finish_steps(report)
        _print(
            json_to,
            lambda: report,
            lambda: _text().print_search(
                search, results, console(), interrupted=self._interrupt.is_set
            ),
        )
        if error is not None:
            raise error
        self._raise_if_interrupted()
        if not any(result.has_streams for result in results):
            raise RunFailed(_why_nothing_measured(results[-1]))
        return EXIT_FINDINGS if search.met is None else EXIT_CLEAN

    def _about(self, step: Step) -> dict[str, object]:
        return self._setup.about(load_about(step.load, self._pools.size))

    def _step_files(self) -> OutputFiles:
        """Return the output files of a sweep or search. Each step records its own conditions."""
        about = {"command": "bench", "steps": True, "url": self._setup.url}
        return OutputFiles(self._options, about, self._setup.secrets)

    def _run(
        self, step: Step, files: OutputFiles, *, stop_if_failing: bool = False
    ) -> tuple[BenchResult, LiveStats]:
        # Each run has a new number, so that its prompts are not in the server's prefix cache.
        run = secrets.randbits(32)
        jobs = make_jobs(step.load, self._pools.size, self._setup.template, run)
        breakdown = Breakdown(self._setup, self._pools.size)

        def write(batch: Sequence[RequestResult]) -> None:
            files.write(batch)
            breakdown.add_all(batch)

        stats = LiveStats(
            self._slos,
            self._setup.clean,
            write=write,
            keep=files.needs_results,
            progress=self._progress,
            load=step.load,
        )
        scraper = self._server_metrics()
        try:
            with self._interrupt.catching(), scraper or nullcontext():
                run_result = run_load(
                    self._pools.next(),
                    jobs,
                    stats,
                    stopping=lambda: (
                        self._interrupt.is_set or (stop_if_failing and stats.is_failing)
                    ),
                )
        finally:
            stats.close()
        # Analysis and printing are loaded after the run, so that they do not delay its start.
        from undam.cli.commands.bench.result import make_result  # noqa: PLC0415

        result = make_result(step, self._setup, run_result, stats, self._slos)
        timeline = None if scraper is None else scraper.timeline
        return replace(result, breakdown=breakdown, server=timeline), stats

    def _server_metrics(self) -> ServerMetrics | None:
        """Return the scraper for --server-metrics, after it has read the metrics once."""
        url = self._options.server_metrics
        if url is None:
            return None
        from undam.loadtest.coordinator.server_metrics import ServerMetrics  # noqa: PLC0415
        from undam.metrics.server.engines import parse_mapping  # noqa: PLC0415

        return ServerMetrics(url, parse_mapping(self._options.server_metric))

    def _raise_if_interrupted(self) -> None:
        if self._interrupt.is_set:
            raise KeyboardInterrupt


def _text() -> ModuleType:
    """Import and return the text output module. An earlier import would delay the run."""
    from undam.cli.commands.bench import text  # noqa: PLC0415

    return text


def _print(
    json_to: str | None,
    make_json: Callable[[], Mapping[str, object]],
    print_text: Callable[[], None],
) -> None:
    """Print only JSON, or print text and also write the JSON file if one was requested.

    The text is printed even if the file cannot be written.
    """
    if json_to == STDOUT:
        write_json(make_json(), STDOUT)
        return
    error = None
    if json_to is not None:
        try:
            write_json(make_json(), json_to)
        except UndamError as caught:
            error = caught
    print_text()
    if error is not None:
        raise error


def _steps_json(results: Sequence[BenchResult]) -> dict[str, object]:
    return {
        "schema": 1,
        "command": "bench",
        "sweep": [{"step": result.step.label, **result.json()} for result in results],
    }


def _search_json(search: CapacitySearch, results: list[BenchResult]) -> dict[str, object]:
    """Return the result of a search: the interval that contains the limit, and each step."""
    name = "concurrency" if search.is_integer else "rate"
    return {
        f"max_{name}": search.met,
        f"missed_{name}": search.missed,
        "searched": name,
        "interval": [search.met, search.missed],
        "confirmed": search.is_confirmed,
        "stopped_by": "client" if search.stopped_by_client else None,
        **_steps_json(results),
    }


def _why_nothing_measured(result: BenchResult) -> str:
    """Describe the most frequent failure in one line."""
    summary = result.summary
    if not summary.requests:
        return (
            f"no request was measured: all {summary.warmup} were warm-up; send more requests, or "
            f"use --warmup 0"
        )
    kinds = sorted(
        ((count, kind) for (_, kind), count in summary.failure_kinds.items()), reverse=True
    )
    if not kinds:
        return f"none of the {summary.requests} responses had any content"
    count, kind = kinds[0]
    message = summary.failure_messages[kind][1]
    return f"nothing was measured: {count} of {summary.requests} requests: {kind}" + (
        f": {message}" if message else ""
    )
