"""What stands on the command line of `undam bench`, read as loads, prompts and objectives."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from undam.cli.ui.output import STDOUT, require_writable
from undam.errors import UsageError
from undam.loadtest.setup.plan import Load, default_warmup
from undam.loadtest.setup.prompts import Prompt, read_prompts
from undam.loadtest.setup.slo import Slo, parse_slo

_USUAL_CONCURRENCY = 10
_USUAL_REQUESTS = 100
# A step of a search must be long enough for its tail, and the search is up to a dozen of them.
_STEP_S = 10.0
_FIRST_RATE = 1.0

_MOST_CONCURRENCY = 100_000
_MOST_RATE = 1_000_000.0
_STEP = re.compile(r"\s*(?P<value>\d+(?:\.\d+)?)\s*(?P<rate>/s)?\s*")


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a sweep, or the only one; ``label`` is empty for that."""

    label: str
    load: Load


def prompts_from(given: Mapping[str, object]) -> list[Prompt] | None:
    """The prompts of ``--prompts``, or ``None``.

    Raises:
        UsageError, ConfigSyntaxError: the file cannot be read, or a line of it.
    """
    path = given["prompts"]
    if path is None:
        return None
    try:
        with Path(str(path)).open(encoding="utf-8") as file:
            return read_prompts(file, str(path))
    except OSError as error:
        raise UsageError(f"--prompts {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"--prompts {path}: {error}") from None


def slos_from(given: Mapping[str, object]) -> tuple[Slo, ...]:
    """The objectives, each once.

    Raises:
        UsageError: one is none.
    """
    texts = given["slo"]
    assert isinstance(texts, tuple)
    return tuple(dict.fromkeys(parse_slo(text) for text in texts))


def require_consistent(given: Mapping[str, object]) -> None:
    """Refuse options that cannot stand together.

    Raises:
        UsageError: names them, and what to do.
    """
    for one, other in _EXCLUDE_EACH_OTHER:
        if _is_set(given, one) and _is_set(given, other):
            raise UsageError(f"{_OPTIONS[one]} and {_OPTIONS[other]} exclude each other")
    if given["find_max"] and not given["slo"]:
        raise UsageError("--find-max needs an objective: add --slo 'ttft_p99<500ms'")
    opens = given["rate"] is not None or given["find_max"] or "/s" in str(given["sweep"])
    if given["arrivals"] is not None and not opens:
        raise UsageError("--arrivals is of an open loop: add --rate R")
    if given["ramp"] is not None and opens:
        raise UsageError("--ramp is of a closed loop, and this one is open")


_OPTIONS = {
    "concurrency": "-c",
    "rate": "--rate",
    "requests": "-n",
    "duration": "--duration",
    "sweep": "--sweep",
    "find_max": "--find-max",
    "data": "--data",
    "prompts": "--prompts",
    "prompt_words": "--prompt-words",
    "max_tokens": "--max-tokens",
    "record": "--record",
    "hlog": "--hlog",
    "html": "--html",
}
_EXCLUDE_EACH_OTHER = (
    ("concurrency", "rate"),
    ("requests", "duration"),
    *combinations(("sweep", "find_max", "concurrency"), 2),
    ("sweep", "rate"),
    *(("data", name) for name in ("prompts", "prompt_words", "max_tokens")),
    ("prompts", "prompt_words"),
    *((several, name) for several in ("sweep", "find_max") for name in ("record", "hlog", "html")),
)


def _is_set(given: Mapping[str, object], name: str) -> bool:
    return given[name] not in {None, False}


def steps_from(given: Mapping[str, object], prompts: Sequence[Prompt] | None) -> tuple[Step, ...]:
    """The runs to make, one after the other; of a search, the first one.

    Raises:
        UsageError: a step of the sweep is none, or there are fewer slots than workers.
    """
    base = _base(given)
    if given["sweep"] is not None:
        steps = _sweep(str(given["sweep"]), base, given)
    elif given["find_max"]:
        duration = base.duration_s if base.duration_s or base.requests else _STEP_S
        rate = _number(given["rate"]) or _FIRST_RATE
        steps = (Step("", _opened(replace(base, duration_s=duration), rate, given)),)
    else:
        steps = (Step("", _single(base, given, prompts)),)
    for step in steps:
        _require_slots(step.load, int(str(given["workers"])))
    return tuple(Step(step.label, _warmed(step.load, given)) for step in steps)


def at_rate(load: Load, rate: float, given: Mapping[str, object]) -> Load:
    """The same load at another rate, with the warm-up that belongs to it."""
    return _warmed(replace(load, rate=rate), given)


def require_files(given: Mapping[str, object], json_to: str | None) -> None:
    """Refuse, before a run, files that could not take its results.

    Raises:
        UsageError: one cannot be written, or two are the same.
    """
    named = {"--json": None if json_to == STDOUT else json_to}
    named |= {f"--{name}": _text(given[name]) for name in ("record", "hlog", "html")}
    seen: dict[Path, str] = {}
    for option, path in named.items():
        if path is None:
            continue
        require_writable(path, option)
        other = seen.setdefault(Path(path).resolve(), option)
        if other != option:
            raise UsageError(f"{other} and {option} both name {path}")


def _base(given: Mapping[str, object]) -> Load:
    requests, duration = given["requests"], _number(given["duration"])
    return Load(
        requests=None if requests is None else int(str(requests)),
        duration_s=duration,
        ramp_s=_number(given["ramp"]),
        seed=int(str(given["seed"])),
    )


def _single(base: Load, given: Mapping[str, object], prompts: Sequence[Prompt] | None) -> Load:
    concurrency, rate = given["concurrency"], _number(given["rate"])
    times = [one.at_ns for one in prompts or () if one.at_ns is not None]
    if times and concurrency is None and rate is None:
        return replace(base, arrivals="trace", trace_ns=tuple(times))
    base = _counted(base)
    if rate is not None:
        return _opened(base, rate, given)
    slots = _USUAL_CONCURRENCY if concurrency is None else int(str(concurrency))
    return replace(base, concurrency=slots)


def _counted(load: Load) -> Load:
    """With an end: the user's, or a hundred requests."""
    if load.requests is None and load.duration_s is None:
        return replace(load, requests=_USUAL_REQUESTS)
    return load


def _opened(load: Load, rate: float, given: Mapping[str, object]) -> Load:
    constant = given["arrivals"] == "constant"
    return replace(load, rate=rate, arrivals="constant" if constant else "poisson")


def _warmed(load: Load, given: Mapping[str, object]) -> Load:
    warmup = given["warmup"]
    return replace(load, warmup=default_warmup(load) if warmup is None else int(str(warmup)))


def _sweep(text: str, base: Load, given: Mapping[str, object]) -> tuple[Step, ...]:
    base = _counted(base)
    found = [_STEP.fullmatch(part) for part in text.split(",")]
    rates = {one["rate"] for one in found if one is not None}
    if None in found or len(rates) != 1:
        raise UsageError(f"--sweep {text!r}: expected concurrencies (1,10,100) or rates (1/s,5/s)")
    steps: list[Step] = []
    for one in found:
        assert one is not None
        value = float(one["value"])
        if one["rate"]:
            if not 0 < value <= _MOST_RATE:
                raise UsageError(f"--sweep {text!r}: a rate is above 0")
            steps.append(Step(f"{value:g}/s", _opened(base, value, given)))
        else:
            if not value.is_integer() or not 1 <= value <= _MOST_CONCURRENCY:
                raise UsageError(f"--sweep {text!r}: a concurrency is a whole number from 1")
            steps.append(Step(f"c={value:g}", replace(base, concurrency=int(value))))
    return tuple(steps)


def _require_slots(load: Load, workers: int) -> None:
    if load.concurrency is not None and load.concurrency < workers:
        raise UsageError(
            f"--workers {workers} with a concurrency of {load.concurrency}: each worker needs a "
            f"slot of its own"
        )


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))


def _text(value: object) -> str | None:
    return None if value is None else str(value)
