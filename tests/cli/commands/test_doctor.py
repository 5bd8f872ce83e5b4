"""`undam doctor`: result lines for given facts, and facts read from this machine."""

from __future__ import annotations

import dataclasses
import platform
import sys
from typing import Any

import pytest

from support.undam_command import invoke
from undam.cli.commands.doctor import capabilities, doctor_json, host_facts
from undam.cli.commands.doctor.capabilities import Capability
from undam.cli.commands.doctor.host_facts import HostFacts, installed_extras

HEALTHY = HostFacts(
    undam="1.2.3",
    python="3.13.1",
    system="Linux 6.1 x86_64",
    missing_features=None,
    has_kernel_timestamps=True,
    timer_late_ms=(0.06, 0.4),
    cpus=4,
    load=0.5,
    open_files=65536,
    capture_problem=None,
    programs={"nginx": "/usr/sbin/nginx", "haproxy": None},
    extras={"client": True, "redis": True},
    proxy_variables=(),
    key_variables=(),
)


def lines(**changed: Any) -> dict[str, Capability]:
    facts = dataclasses.replace(HEALTHY, **changed)
    return {one.name: one for one in capabilities.capabilities(facts)}


def test_a_machine_without_problems_has_ten_lines_that_are_ok() -> None:
    found = lines()
    assert len(found) == 10
    assert {one.state for one in found.values()} == {"ok"}


@pytest.mark.parametrize(
    ("name", "changed", "state", "text"),
    [
        ("timestamps", {"has_kernel_timestamps": False}, "failed", "no kernel timestamps"),
        ("timestamps", {"missing_features": "no recvmsg"}, "failed", "no recvmsg"),
        ("clock", {"timer_late_ms": (9.0, 30.0)}, "limited", "9.00 ms late"),
        ("CPUs", {"load": 12.0}, "limited", "load 12.0"),
        ("CPUs", {"load": None}, "ok", "4 usable; use at most 4"),
        ("open files", {"open_files": 256}, "limited", "at most 256"),
        ("open files", {"open_files": None}, "ok", "no limit"),
        ("tap", {"capture_problem": "needs CAP_NET_RAW"}, "limited", "needs CAP_NET_RAW"),
        ("proxies", {"programs": {"nginx": None}}, "missing", "none found"),
        ("proxies", {}, "ok", "nginx; not found: haproxy"),
        ("extras", {"extras": {"otel": False, "tap": True}}, "missing", "'undam[otel]'"),
        ("proxy in use", {"proxy_variables": ("HTTPS_PROXY",)}, "ok", "the proxy in HTTPS_PROXY"),
        ("API keys", {"key_variables": ("OPENAI_API_KEY",)}, "ok", "OPENAI_API_KEY set"),
    ],
)
def test_each_fact_changes_its_line_only(
    name: str, changed: dict[str, Any], state: str, text: str
) -> None:
    found = lines(**changed)
    assert found[name].state == state
    assert text in found[name].text
    unchanged = lines()
    assert {key for key in found if found[key] != unchanged[key]} <= {name}


def test_the_json_has_the_facts_behind_each_line() -> None:
    rows = doctor_json(list(lines().values()))["capabilities"]
    assert isinstance(rows, list)
    assert rows[3] == {
        "name": "CPUs",
        "state": "ok",
        "text": "4 usable, load 0.5; use at most 4 --workers in bench",
        "details": {"usable": 4, "load": 0.5},
    }


def test_this_machine_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-this-test")
    monkeypatch.setenv("https_proxy", "http://user:password@proxy.test:3128")
    done = invoke("doctor", "--json")
    rows = {row["name"]: row for row in done.json["capabilities"]}
    assert rows["versions"]["details"]["python"] == platform.python_version()
    assert rows["timestamps"]["details"]["kernel"] is (sys.platform == "linux")
    assert done.code == (0 if sys.platform == "linux" else 1)
    assert rows["API keys"]["details"]["variables"] == ["OPENAI_API_KEY"]
    assert rows["proxy in use"]["details"]["variables"] == ["HTTPS_PROXY"]
    assert "sk-secret" not in done.out
    assert "password" not in done.out


def test_the_text_has_a_line_per_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = dataclasses.replace(HEALTHY, has_kernel_timestamps=False)
    monkeypatch.setattr(host_facts, "collect_facts", lambda: broken)
    done = invoke("doctor")
    assert done.code == 1
    assert len(done.out.splitlines()) == 10
    assert "failed  timestamps    no kernel timestamps" in done.out


def test_every_extra_of_the_package_is_listed() -> None:
    found = installed_extras()
    assert {"client", "gateway", "otel", "ray", "redis"} <= found.keys()
    assert found["redis"], "the tests install redis"
