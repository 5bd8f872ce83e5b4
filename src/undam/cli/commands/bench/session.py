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
from undam.cli.commands.bench.live_stats import Gauge
from undam.cli.commands.bench.outputs import Files
from undam.cli.commands.bench.setup import Setting, check_options, load_about, setting_from
from undam.cli.commands.bench.worker_pools import Crews
from undam.cli.commands.check.arguments import url_and_json
from undam.cli.main import EXIT_CLEAN, EXIT_COULD_NOT_RUN, EXIT_FINDINGS
from undam.cli.ui.output import STDOUT, console, write_json
from undam.errors import UndamError, UsageError
from undam.loadtest.coordinator.run import NotRun, run_load
from undam.loadtest.coordinator.search import Search
from undam.loadtest.coordinator.split import jobs_of
from undam.loadtest.setup.slo import Slo
from undam.probe.secrecy import clean_error

if TYPE_CHECKING:
    from undam.cli.commands.bench.result import Result


def run_bench(
    url: str | None, json_to: str | None, given: Mapping[str, object], crews: Crews
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
        setting = setting_from(options, given, prompts, steps)
        bench = Bench(setting, given, crews, slos)
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


class Stopping:
    """Whether the user asked for an end; asking twice does not wait for the report."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C, and what comes in its place, as a wish."""

        def hear(_number: int, _frame: FrameType | None) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        before = signal.signal(signal.SIGINT, hear)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class Bench:
    """The runs of one command."""

    def __init__(
        self, setting: Setting, given: Mapping[str, object], crews: Crews, slos: Sequence[Slo]
    ) -> None:
        self._setting = setting
        self._given = given
        self._crews = crews
        self._slos = slos
        self._stopping = Stopping()

    def single(self, step: Step, json_to: str | None) -> int:
        """One run."""
        about = self._setting.about(load_about(step.load, self._crews.size))
        secrets = self._setting.options.secrets
        with Files(self._given, about, secrets) as files:
            result, gauge = self._run(step, files)
            fault = files.finish(result, gauge)
        _print(json_to, result.json, lambda: _words().print_result(result, console()))
        _raise(fault)
        self._end()
        if result.code == EXIT_COULD_NOT_RUN:
            raise NotRun(_nothing(result))
        return result.code

    def sweep(self, steps: Sequence[Step], json_to: str | None) -> int:
        """Several runs, one after the other."""
        results: list[Result] = []
        for step in steps:
            results.append(self._run(step, None)[0])
            if self._stopping.asked:
                break
        _print(
            json_to, lambda: _steps_json(results), lambda: _words().print_steps(results, console())
        )
        self._end()
        if not any(one.has_streams for one in results):
            raise NotRun(_nothing(results[-1]))
        return EXIT_CLEAN if all(one.code == EXIT_CLEAN for one in results) else EXIT_FINDINGS

    def search(self, step: Step, json_to: str | None) -> int:
        """Runs at rates that close in on the highest that meets the objectives."""
        assert step.load.rate is not None
        search = Search(step.load.rate)
        results: list[Result] = []
        while search.rate is not None and not self._stopping.asked:
            load = at_rate(step.load, search.rate, self._given)
            results.append(self._run(Step(f"{search.rate:g}/s", load), None)[0])
            if not self._stopping.asked:
                search.took(results[-1].meets_slos and results[-1].has_streams)
            if results[-1].is_client_late:
                # A miss would then be ours, and more load would only be more of it.
                break
        told = {"max_rate": search.met, "missed_rate": search.missed, **_steps_json(results)}
        told["stopped_by"] = "client" if results[-1].is_client_late else None
        _print(json_to, lambda: told, lambda: _words().print_search(search, results, console()))
        self._end()
        if not any(one.has_streams for one in results):
            raise NotRun(_nothing(results[-1]))
        return EXIT_FINDINGS if search.met is None else EXIT_CLEAN

    def _run(self, step: Step, files: Files | None) -> tuple[Result, Gauge]:
        jobs = jobs_of(step.load, self._crews.size, self._setting.order)
        gauge = Gauge(
            self._slos,
            self._setting.clean,
            write=None if files is None else files.write,
            keep=files is not None and files.wants_all,
        )
        try:
            with self._stopping.listening():
                ran = run_load(
                    self._crews.next(), jobs, gauge, stopping=lambda: self._stopping.asked
                )
        finally:
            gauge.ended()
        # What judges and prints is loaded when the first request has long left.
        from undam.cli.commands.bench.result import result_of  # noqa: PLC0415

        return result_of(step, self._setting, ran, gauge, self._slos), gauge

    def _end(self) -> None:
        if self._stopping.asked:
            raise KeyboardInterrupt


def _words() -> ModuleType:
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


def _steps_json(results: Sequence[Result]) -> dict[str, object]:
    return {
        "schema": 1,
        "command": "bench",
        "sweep": [{"step": one.step.label, **one.json()} for one in results],
    }


def _nothing(result: Result) -> str:
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
