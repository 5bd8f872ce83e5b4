"""`undam bench` from its command line to its exit code: one run, a sweep of some, or a search."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import TYPE_CHECKING

from undam.cli.commands.bench.arguments import (
    Step,
    at_rate,
    prompts_from,
    require_files,
    slos_from,
    steps_from,
)
from undam.cli.commands.bench.live_stats import LiveStats
from undam.cli.commands.bench.outputs import OutputFiles
from undam.cli.commands.bench.setup import BenchSetup, check_options, load_about, setup_from
from undam.cli.commands.bench.worker_pools import WorkerPools
from undam.cli.commands.check.arguments import url_and_json
from undam.cli.main import EXIT_CLEAN, EXIT_COULD_NOT_RUN, EXIT_FINDINGS
from undam.cli.ui.output import STDOUT, console, write_json
from undam.errors import UndamError, UsageError
from undam.loadtest.coordinator.run import RunFailed, run_load
from undam.loadtest.coordinator.search import RateSearch
from undam.loadtest.coordinator.split import make_jobs
from undam.loadtest.setup.slo import Slo
from undam.probe.secrecy import clean_error

if TYPE_CHECKING:
    from undam.cli.commands.bench.result import BenchResult


def run_bench(
    url: str | None, json_to: str | None, given: Mapping[str, object], pools: WorkerPools
) -> int:
    """Do what the command line asks, print it, and say how it went.

    Raises:
        UndamError: it could not run; the text holds no secret.
        KeyboardInterrupt: it was stopped; what was measured until then has been printed.
    """
    url, json_to = _url_and_json(url, json_to)
    prompts, slos = prompts_from(given), slos_from(given)
    steps = steps_from(given, prompts)
    require_files(given, json_to)
    options = check_options(url, given)
    try:
        setup = setup_from(options, given, prompts, steps)
        bench = BenchSession(setup, given, pools, slos)
        if given["find_max"]:
            return bench.search(steps[0], json_to)
        if given["sweep"] is not None:
            return bench.sweep(steps, json_to)
        return bench.single(steps[0], json_to)
    except UndamError as error:
        clean_error(error, options.secrets)
        raise


def _url_and_json(url: str | None, json_to: str | None) -> tuple[str, str | None]:
    try:
        return url_and_json(url, json_to)
    except UsageError as error:
        raise UsageError(str(error).replace("undam check", "undam bench")) from None


class InterruptFlag:
    """Whether the user asked for an end; asking twice does not wait for the report."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C, and what comes in its place, as a wish."""

        def receive(_number: int, _frame: FrameType | None) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        before = signal.signal(signal.SIGINT, receive)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class BenchSession:
    """The runs of one command."""

    def __init__(
        self,
        setup: BenchSetup,
        given: Mapping[str, object],
        pools: WorkerPools,
        slos: Sequence[Slo],
    ) -> None:
        self._setup = setup
        self._given = given
        self._pools = pools
        self._slos = slos
        self._interrupt = InterruptFlag()

    def single(self, step: Step, json_to: str | None) -> int:
        """One run."""
        about = self._setup.about(load_about(step.load, self._pools.size))
        secrets = self._setup.options.secrets
        with OutputFiles(self._given, about, secrets) as files:
            result, stats = self._run(step, files)
            fault = files.finish(result, stats)
        _print(json_to, result.json, lambda: _text_module().print_result(result, console()))
        _raise(fault)
        self._end()
        if result.code == EXIT_COULD_NOT_RUN:
            raise RunFailed(_nothing(result))
        return result.code

    def sweep(self, steps: Sequence[Step], json_to: str | None) -> int:
        """Several runs, one after the other."""
        results: list[BenchResult] = []
        for step in steps:
            results.append(self._run(step, None)[0])
            if self._interrupt.asked:
                break
        _print(
            json_to,
            lambda: _steps_json(results),
            lambda: _text_module().print_steps(results, console()),
        )
        self._end()
        if not any(one.has_streams for one in results):
            raise RunFailed(_nothing(results[-1]))
        return EXIT_CLEAN if all(one.code == EXIT_CLEAN for one in results) else EXIT_FINDINGS

    def search(self, step: Step, json_to: str | None) -> int:
        """Runs at rates that close in on the highest that meets the objectives."""
        assert step.load.rate is not None
        search = RateSearch(step.load.rate)
        results: list[BenchResult] = []
        while search.rate is not None and not self._interrupt.asked:
            load = at_rate(step.load, search.rate, self._given)
            results.append(self._run(Step(f"{search.rate:g}/s", load), None)[0])
            if not self._interrupt.asked:
                search.record(results[-1].meets_slos and results[-1].has_streams)
            if results[-1].is_client_late:
                # A miss would then be ours, and more load would only be more of it.
                break
        told = {"max_rate": search.met, "missed_rate": search.missed, **_steps_json(results)}
        told["stopped_by"] = "client" if results[-1].is_client_late else None
        _print(
            json_to, lambda: told, lambda: _text_module().print_search(search, results, console())
        )
        self._end()
        if not any(one.has_streams for one in results):
            raise RunFailed(_nothing(results[-1]))
        return EXIT_FINDINGS if search.met is None else EXIT_CLEAN

    def _run(self, step: Step, files: OutputFiles | None) -> tuple[BenchResult, LiveStats]:
        jobs = make_jobs(step.load, self._pools.size, self._setup.template)
        stats = LiveStats(
            self._slos,
            self._setup.clean,
            write=None if files is None else files.write,
            keep=files is not None and files.wants_all,
        )
        try:
            with self._interrupt.listening():
                run_result = run_load(
                    self._pools.next(), jobs, stats, stopping=lambda: self._interrupt.asked
                )
        finally:
            stats.ended()
        # What judges and prints is loaded when the first request has long left.
        from undam.cli.commands.bench.result import result_of  # noqa: PLC0415

        return result_of(step, self._setup, run_result, stats, self._slos), stats

    def _end(self) -> None:
        if self._interrupt.asked:
            raise KeyboardInterrupt


def _text_module() -> ModuleType:
    """The module that prints, loaded late."""
    from undam.cli.commands.bench import text as bench_words  # noqa: PLC0415

    return bench_words


def _print(
    json_to: str | None, told: Callable[[], Mapping[str, object]], say: Callable[[], None]
) -> None:
    """JSON alone on standard output, or words there; a file that fails does not take the words."""
    if json_to == STDOUT:
        write_json(told(), STDOUT)
        return
    fault = None
    if json_to is not None:
        try:
            write_json(told(), json_to)
        except UndamError as error:
            fault = error
    say()
    _raise(fault)


def _raise(fault: UndamError | None) -> None:
    if fault is not None:
        raise fault


def _steps_json(results: Sequence[BenchResult]) -> dict[str, object]:
    return {
        "schema": 1,
        "command": "bench",
        "sweep": [{"step": one.step.label, **one.json()} for one in results],
    }


def _nothing(result: BenchResult) -> str:
    """One line: nothing was measured, and what came instead."""
    summary = result.summary
    if not summary.requests:
        return (
            f"no request counted: {summary.warmup} were warm-up; begin more of them, or take "
            f"--warmup 0"
        )
    kinds = sorted(((n, kind) for (_, kind), n in summary.kinds.items()), reverse=True)
    if not kinds:
        return f"no answer of {summary.requests} held any content"
    n, kind = kinds[0]
    said = summary.messages[kind][1]
    return f"nothing was measured: {n} of {summary.requests} requests: {kind}" + (
        f": {said}" if said else ""
    )
