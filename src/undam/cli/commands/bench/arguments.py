"""Parsing of the `undam bench` options into loads, prompts and objectives."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from undam.cli.commands.bench.options import BenchOptions
from undam.cli.ui.output import STDOUT, require_writable
from undam.errors import ConfigSyntaxError, UsageError
from undam.loadtest.setup.plan import Load, default_warmup
from undam.loadtest.setup.prompts import REMOVED, Prompt
from undam.loadtest.setup.slo import RATES, Slo, parse_slo
from undam.loadtest.setup.traces import read_workload
from undam.timing.distribution import Distribution, parse_distribution

_DEFAULT_CONCURRENCY = 10
_DEFAULT_REQUESTS = 100
# A search step must be long enough to measure tail latencies. The last steps are even longer.
_SEARCH_STEP_S = 10.0
_SEARCH_FIRST_RATE = 1.0

# Number of sampled pauses and cancellation times. After this many requests, they are reused.
_SAMPLES = 4096
_MAX_DELAY_S = 86_400.0
_CANCEL_AFTER = "exp(1)"
# At this default shape, gaps between gamma arrivals vary 1.4 times as much as in a Poisson process.
_BURSTINESS = 0.5

_MAX_CONCURRENCY = 100_000
_MAX_RATE = 1_000_000.0
_MAX_WEIGHT = 1e9
_STEP = re.compile(r"\s*(?P<value>\d+(?:\.\d+)?)\s*(?P<rate>/s)?\s*")


@dataclass(frozen=True, slots=True)
class Step:
    """One run: a step of a sweep or search, or the only run, whose ``label`` is empty."""

    label: str
    load: Load


def read_prompts_file(options: BenchOptions) -> list[Prompt] | None:
    """Return the prompts from the ``--prompts`` file, or ``None`` if the option is not given.

    Raises:
        UsageError, ConfigSyntaxError: the file cannot be read, or one of its lines is invalid.
    """
    path = options.prompts
    if path is None:
        return None
    try:
        with Path(path).open(encoding="utf-8") as file:
            return read_workload(file, path)
    except OSError as error:
        raise UsageError(f"--prompts {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigSyntaxError("not UTF-8", path=path, line=1, column=1) from None
    except ValueError as error:
        raise UsageError(f"--prompts {path}: {error}") from None


def parse_slos(options: BenchOptions) -> tuple[Slo, ...]:
    """Return the objectives given by ``--slo``, without duplicates.

    Raises:
        UsageError: an objective is invalid, or a search cannot use it.
    """
    slos = tuple(dict.fromkeys(parse_slo(text) for text in options.slo))
    for slo in slos if options.find_max else ():
        if slo.name in RATES and slo.sign.startswith(">"):
            raise UsageError(
                f"--find-max needs objectives that higher loads miss, but low loads miss "
                f"{slo.text}: use --sweep, or an objective such as 'ttft_p99<500ms'"
            )
    return slos


def parse_body(options: BenchOptions) -> dict[str, object]:
    """Parse ``--body`` into fields. Values that are not JSON are text; "" removes the field.

    Raises:
        UsageError: a field has no name.
    """
    fields: dict[str, object] = {}
    for one in options.body:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise UsageError(f"--body {one!r}: expected NAME=VALUE, such as ignore_eos=true")
        try:
            fields[name] = json.loads(value) if value else REMOVED
        except (ValueError, RecursionError):
            fields[name] = value
    return fields


def parse_models(options: BenchOptions, count: int) -> list[str]:
    """Choose a model for each of ``count`` requests at random, weighted as in ``--models``.

    Raises:
        UsageError: a weight is invalid.
    """
    names, weights = [], []
    for one in (options.models or "").split(","):
        name, weight = _model_and_weight(one.strip())
        if not name or not 0 < weight < _MAX_WEIGHT:
            raise UsageError(f"--models {options.models!r}: expected MODEL:WEIGHT,MODEL:WEIGHT")
        names.append(name)
        weights.append(weight)
    rng = random.Random(f"models {options.seed}")  # noqa: S311 (a schedule, not a secret)
    return rng.choices(names, weights, k=count)


def _model_and_weight(part: str) -> tuple[str, float]:
    name, _, weight = part.rpartition(":")
    try:
        return name, float(weight)
    except ValueError:
        # Some model names contain a colon, so the text after the last colon may not be a weight.
        return part, 1.0


def make_pauses_ns(options: BenchOptions) -> tuple[int, ...]:
    """Sample pauses from the ``--think-time`` distribution; empty if the option is not given.

    Raises:
        UsageError: the distribution is invalid.
    """
    if options.think_time is None:
        return ()
    pauses = parse_distribution(options.think_time)
    rng = random.Random(f"pauses {options.seed}")  # noqa: S311 (a schedule, not a secret)
    return tuple(_sample_ns(pauses, rng) for _ in range(_SAMPLES))


def make_cancels_ns(options: BenchOptions) -> tuple[int, ...]:
    """Return when to cancel requests, as in ``Job.cancel_ns``; empty if none is cancelled.

    Raises:
        UsageError: the distribution of ``--cancel-after`` is invalid.
    """
    share = options.cancel_share
    if not share:
        return ()
    delays = parse_distribution(options.cancel_after or _CANCEL_AFTER)
    rng = random.Random(f"cancel {options.seed}")  # noqa: S311 (a schedule, not a secret)
    return tuple(_sample_ns(delays, rng) if rng.random() < share else -1 for _ in range(_SAMPLES))


def _sample_ns(seconds: Distribution, rng: random.Random) -> int:
    return max(0, round(min(seconds.sample(rng), _MAX_DELAY_S) * 1e9))


def make_steps(options: BenchOptions, prompts: Sequence[Prompt] | None) -> tuple[Step, ...]:
    """Return the runs in order. For a search, return only the first run.

    Raises:
        UsageError: a step of the sweep is invalid, or there are fewer slots than workers.
    """
    load = Load(
        requests=options.requests,
        duration_s=options.duration,
        ramp_s=options.ramp,
        seed=options.seed,
    )
    if options.sweep is not None:
        steps = _sweep_steps(options.sweep, load, options)
    elif options.find_max:
        steps = (Step("", _first_search_load(load, options)),)
    else:
        steps = (Step("", _single_load(load, options, prompts)),)
    for step in steps:
        _require_slots(step.load, options.workers)
    return tuple(Step(step.label, _with_warmup(step.load, options)) for step in steps)


def search_load(
    load: Load, value: float, length: int, options: BenchOptions, *, number: int = 0
) -> Load:
    """Return the load for one search step, with the default warm-up for that load.

    Each step has arrival times of its own. Otherwise, a step that confirms another one would only
    repeat its random variation.

    Args:
        number: number of the step, which changes the random seed.
        value: rate or concurrency, as in ``load``.
        length: factor for the duration or the number of requests of ``load``.
    """
    requests, duration_s = load.requests, load.duration_s
    load = replace(
        load,
        requests=None if requests is None else requests * length,
        duration_s=None if duration_s is None else duration_s * length,
        seed=load.seed + number,
    )
    if load.is_open:
        return _with_warmup(replace(load, rate=value), options)
    return _with_warmup(replace(load, concurrency=round(value)), options)


def require_output_files(options: BenchOptions, json_to: str | None) -> None:
    """Reject output files that cannot be written, before anything is measured.

    Raises:
        UsageError: a file cannot be written, or two options name the same file.
    """
    paths = {
        "--json": None if json_to == STDOUT else json_to,
        "--record": options.record,
        "--hlog": options.hlog,
        "--csv": options.csv,
        "--html": options.html,
    }
    used: dict[Path, str] = {}
    for option, path in paths.items():
        if path is None:
            continue
        require_writable(path, option)
        other = used.setdefault(Path(path).resolve(), option)
        if other != option:
            raise UsageError(f"{other} and {option} both name {path}; use two files")


def _single_load(load: Load, options: BenchOptions, prompts: Sequence[Prompt] | None) -> Load:
    times = [prompt.at_ns for prompt in prompts or () if prompt.at_ns is not None]
    if times and options.concurrency is None and options.rate is None:
        return replace(load, arrivals="trace", trace_ns=tuple(times))
    load = _with_end(load)
    if options.rate is not None:
        return _open_loop(load, options.rate, options)
    return replace(load, concurrency=options.concurrency or _DEFAULT_CONCURRENCY)


def _first_search_load(load: Load, options: BenchOptions) -> Load:
    if load.requests is None and load.duration_s is None:
        load = replace(load, duration_s=_SEARCH_STEP_S)
    if options.concurrency is not None:
        return replace(load, concurrency=options.concurrency)
    return _open_loop(load, options.rate or _SEARCH_FIRST_RATE, options)


def _sweep_steps(text: str, load: Load, options: BenchOptions) -> tuple[Step, ...]:
    load = _with_end(load)
    matches = [_STEP.fullmatch(part) for part in text.split(",")]
    kinds = {match["rate"] for match in matches if match is not None}
    if None in matches or len(kinds) != 1:
        raise UsageError(f"--sweep {text!r}: expected concurrencies (1,10,100) or rates (1/s,5/s)")
    steps: list[Step] = []
    for match in matches:
        assert match is not None
        value = float(match["value"])
        if match["rate"]:
            if not 0 < value <= _MAX_RATE:
                raise UsageError(f"--sweep {text!r}: a rate must be above 0, at most {_MAX_RATE:g}")
            steps.append(Step(f"{value:g}/s", _open_loop(load, value, options)))
        else:
            if not value.is_integer() or not 1 <= value <= _MAX_CONCURRENCY:
                raise UsageError(
                    f"--sweep {text!r}: a concurrency must be an integer from 1 to "
                    f"{_MAX_CONCURRENCY}"
                )
            steps.append(Step(f"c={value:g}", replace(load, concurrency=int(value))))
    return tuple(steps)


def _with_end(load: Load) -> Load:
    """Apply the default number of requests if neither a number nor a duration is given."""
    if load.requests is None and load.duration_s is None:
        return replace(load, requests=_DEFAULT_REQUESTS)
    return load


def _open_loop(load: Load, rate: float, options: BenchOptions) -> Load:
    return replace(
        load,
        rate=rate,
        rate_end=options.rate_end,
        max_concurrency=options.max_concurrency,
        arrivals=options.arrivals or "poisson",
        burstiness=options.burstiness or _BURSTINESS,
    )


def _with_warmup(load: Load, options: BenchOptions) -> Load:
    warmup = default_warmup(load) if options.warmup is None else options.warmup
    return replace(load, warmup=warmup)


def _require_slots(load: Load, workers: int) -> None:
    if load.concurrency is not None and load.concurrency < workers:
        raise UsageError(
            f"--workers {workers} needs a concurrency of at least {workers}, one slot per worker; "
            f"it is {load.concurrency}"
        )
