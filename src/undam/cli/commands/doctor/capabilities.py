"""Capabilities of undam on a machine, derived from facts about that machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from undam.cli.commands.doctor.host_facts import HostFacts

State = Literal["ok", "limited", "missing", "failed"]

# If timers fire later than this, measuring the gaps of a fast stream (10 ms) requires kernel
# timestamps.
_LATE_MS = 5.0
# `undam bench -c 1000` needs one file descriptor per request, and some for the process itself.
_FEW_FILES = 1100


@dataclass(frozen=True, slots=True)
class Capability:
    """One line of the `undam doctor` report.

    Attributes:
        state: "limited" and "missing" affect only this capability; "failed" means that streams
            cannot be measured exactly.
        details: the facts behind the text, in machine-readable form.
    """

    name: str
    state: State
    text: str
    details: Mapping[str, object] = field(default_factory=dict)


def capabilities(facts: HostFacts) -> list[Capability]:
    """Return the lines of the report, in a fixed order."""
    return [
        _versions(facts),
        _timestamps(facts),
        _clock(facts),
        _cpus(facts),
        _files(facts),
        _capture(facts),
        _proxies(facts),
        _extras(facts),
        _proxy_variables(facts),
        _keys(facts),
    ]


def _versions(facts: HostFacts) -> Capability:
    text = f"undam {facts.undam}, Python {facts.python}, {facts.system}"
    details = {"undam": facts.undam, "python": facts.python, "system": facts.system}
    return Capability("versions", "ok", text, details)


def _timestamps(facts: HostFacts) -> Capability:
    details = {"kernel": facts.has_kernel_timestamps}
    if facts.missing_features is not None:
        text = f"check, bench and watch cannot run: {facts.missing_features}"
        return Capability("timestamps", "failed", text, details)
    if facts.has_kernel_timestamps:
        text = "the kernel timestamps each read, so a busy client cannot look like a held stream"
        return Capability("timestamps", "ok", text, details)
    text = "no kernel timestamps: times are taken at each read; measure on Linux for exact results"
    return Capability("timestamps", "failed", text, details)


def _clock(facts: HostFacts) -> Capability:
    median, worst = facts.timer_late_ms
    text = f"a timer fires {median:.2f} ms late (median; at most {worst:.2f} ms)"
    details = {"timer_late_ms": {"p50": round(median, 3), "max": round(worst, 3)}}
    if median > _LATE_MS:
        text += "; this machine is busy, so repeat measurements that matter"
        return Capability("clock", "limited", text, details)
    return Capability("clock", "ok", text, details)


def _cpus(facts: HostFacts) -> Capability:
    load = "" if facts.load is None else f", load {facts.load:.1f}"
    text = f"{facts.cpus} usable{load}; use at most {facts.cpus} --workers in bench"
    details = {"usable": facts.cpus, "load": facts.load}
    is_busy = facts.load is not None and facts.load > 2 * facts.cpus
    return Capability("CPUs", "limited" if is_busy else "ok", text, details)


def _files(facts: HostFacts) -> Capability:
    limit = facts.open_files
    if limit is None:
        return Capability("open files", "ok", "no limit", {"limit": None})
    details = {"limit": limit}
    if limit < _FEW_FILES:
        text = f"at most {limit}, so bench and gateway handle fewer streams; raise `ulimit -Hn`"
        return Capability("open files", "limited", text, details)
    return Capability("open files", "ok", f"at most {limit}", details)


def _capture(facts: HostFacts) -> Capability:
    details = {"live": facts.capture_problem is None}
    if facts.capture_problem is None:
        return Capability("tap", "ok", "live capture works", details)
    return Capability("tap", "limited", facts.capture_problem, details)


def _proxies(facts: HostFacts) -> Capability:
    found = [name for name, path in facts.programs.items() if path is not None]
    missing = [name for name, path in facts.programs.items() if path is None]
    details = {"programs": dict(facts.programs)}
    if not found:
        text = "none found; `undam lab` and `fix --verify` need one, such as nginx"
        return Capability("proxies", "missing", text, details)
    text = _listed(found) + (f"; not found: {_listed(missing)}" if missing else "")
    return Capability("proxies", "ok", text, details)


def _extras(facts: HostFacts) -> Capability:
    missing = [name for name, is_there in facts.extras.items() if not is_there]
    details = {"extras": dict(facts.extras)}
    if not missing:
        return Capability("extras", "ok", f"all installed: {_listed(list(facts.extras))}", details)
    text = f"not installed: {_listed(missing)}; for instance pip install 'undam[{missing[0]}]'"
    return Capability("extras", "missing", text, details)


def _proxy_variables(facts: HostFacts) -> Capability:
    details = {"variables": list(facts.proxy_variables)}
    if not facts.proxy_variables:
        return Capability("proxy in use", "ok", "none set in the environment", details)
    text = f"check uses the proxy in {_listed(facts.proxy_variables)}; bench connects directly"
    return Capability("proxy in use", "ok", text, details)


def _keys(facts: HostFacts) -> Capability:
    details = {"variables": list(facts.key_variables)}
    if not facts.key_variables:
        text = "no key is set in the environment; pass one with -H @FILE"
        return Capability("API keys", "ok", text, details)
    text = f"{_listed(facts.key_variables)} set; each key is sent only to its own API"
    return Capability("API keys", "ok", text, details)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
