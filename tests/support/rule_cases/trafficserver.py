"""Live rule cases for Traffic Server 9. records.yaml needs version 10, so it is not tested.

Traffic Server reads several files. The environment sets what it needs to run from a folder of its
own: its user, one thread, and no crash helper.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from support.live import RunProxy, Simulator, skip_or_fail
from support.proxy_programs import Program, with_ports
from support.rule_cases.model import (
    LONG,
    SILENT,
    LiveDialect,
    cut_case,
    held_case,
    rule_text,
)
from undam.lab.proxies import Missing, RunningProxy, find_program, trafficserver
from undam.lab.proxies.plan import LaunchPlan, Workspace
from undam.lab.proxies.process import start

# Configuration file that each rule's test file replaces.
_FILES = {"ATS101": "compress.config", "ATS401": "records.config", "ATS402": "remap.config"}
_COMPRESS_PLUGIN = "compress.so compress.config\n"
_CHECK_S = 30
_PROGRAM = Program(name="traffic_server", config_name="records.config", check=(), run=())


def _environment(place: Workspace) -> dict[str, str]:
    return {
        "PROXY_CONFIG_ADMIN_USER_ID": place.account.user if place.account else "#-1",
        "PROXY_CONFIG_EXEC_THREAD_AUTOCONFIG": "0",
        "PROXY_CONFIG_EXEC_THREAD_LIMIT": "1",
        "PROXY_CONFIG_CRASH_LOG_HELPER": "NULL",
    }


def _files_of(code: str, text: str) -> dict[str, str]:
    plugins = {"plugin.config": _COMPRESS_PLUGIN} if code == "ATS101" else {}
    return {_FILES[code]: text, **plugins}


def _start(own: Callable[[Workspace], Mapping[str, str]], origin: str) -> RunningProxy:
    """Start Traffic Server with the files from ``own``, and with default files otherwise."""

    def plan(place: Workspace) -> LaunchPlan:
        defaults = {
            "records.config": trafficserver.render(place),
            "remap.config": f"map / {origin}/\n",
            "plugin.config": "",
            "storage.config": f"{place.directory}/cache 16M\n",
            "ip_allow.yaml": trafficserver._ALLOW_LOOPBACK,
        }
        files = {f"etc/{name}": text for name, text in {**defaults, **own(place)}.items()}
        return LaunchPlan(
            config=files.pop("etc/records.config"),
            config_name="etc/records.config",
            arguments=(f"--run-root={place.directory}/runroot.yaml",),
            files={**files, "runroot.yaml": trafficserver._run_root(place)},
            folders=("etc", "run", "log", "cache"),
            environment=_environment(place),
        )

    accounts = ("trafficserver", "nobody")
    return start(
        "trafficserver", plan, program="traffic_server", version_flag="-V", accounts=accounts
    )


class _LiveTrafficServer(LiveDialect):
    def validate(
        self, code: str, text: str, folder: Path, _run_proxy: RunProxy
    ) -> tuple[bool, str]:
        try:
            program = find_program("traffic_server")
        except Missing as missing:
            skip_or_fail(missing)
        place = Workspace(folder, 8080)
        for name in ("etc", "run", "log", "cache"):
            (folder / name).mkdir(exist_ok=True)
        (folder / "runroot.yaml").write_text(trafficserver._run_root(place), "utf-8")
        defaults = {
            "storage.config": f"{folder}/cache 16M\n",
            "plugin.config": "",
            "remap.config": "map / http://127.0.0.1:9000/\n",
            "records.config": rule_text("ATS401", "good"),
        }
        for name, content in {**defaults, **_files_of(code, text)}.items():
            (folder / "etc" / name).write_text(content, "utf-8")
        done = subprocess.run(
            [program, f"--run-root={folder}/runroot.yaml", "-C", "verify_config"],
            env={**os.environ, **_environment(place)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_CHECK_S,
            check=False,
        )
        return done.returncode == 0, done.stdout

    def start(self, run_proxy: RunProxy, code: str, text: str, model: Simulator) -> RunningProxy:
        origin = int(model.url.rpartition(":")[2])

        def own(place: Workspace) -> dict[str, str]:
            ported = with_ports(text, listen=place.port, origin=origin)
            ported = ported.replace("STRING 8080:", f"STRING {place.port}:")
            return _files_of(code, ported)

        return run_proxy(_start, own, model.url)

    def start_rendered(self, run_proxy: RunProxy, model: Simulator, **options: Any) -> RunningProxy:
        def own(place: Workspace) -> dict[str, str]:
            text = self.rendered(place, model, **options)
            maps = [line[1:].strip() for line in text.splitlines() if line.startswith("#   map ")]
            assert len(maps) == 1
            return {"records.config": text, "remap.config": maps[0] + "\n"}

        return run_proxy(_start, own, model.url)


LIVE = _LiveTrafficServer(
    name="trafficserver",
    letters="ATS",
    program=_PROGRAM,
    invalid="no_such_directive / http://127.0.0.1:9000/\n",
    invalid_code="ATS402",
    rejection="remap.config",
    cases=(
        held_case("ATS101"),
        cut_case(
            "ATS401",
            ("timeout_out INT 10", "timeout_out INT 1"),
            simulator=(*SILENT, "--stall", "4000"),
        ),
        # In `fixed`, only the other remap rule still has this timeout.
        cut_case("ATS402", ("_in=30", "_in=1"), simulator=LONG),
    ),
)
