"""The rules of Traffic Server on Traffic Server 9: it takes every file, `bad` is held or cut as its
rule says, and `fixed` is not; what `render` writes streams.

Only ports and, for limits, seconds are changed. What the program needs to run from a folder of its
own (its user, one thread, no crash helper) is said in its environment, and the files that a rule
file stands beside are written around it. records.yaml needs version 10, and is not run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from support.live import RunProxy, Simulator, check, codes_by_hop, hop_json, measure, skip_or_fail
from support.proxy_programs import with_ports
from undam.lab.proxies import Missing, RunningProxy, find_program, trafficserver
from undam.lab.proxies.plan import LaunchPlan, Workspace
from undam.lab.proxies.process import start
from undam.lint import RenderRequest, dialect_named
from undam.probe import Report

RULES = Path(__file__).parents[1] / "rules"
CODES = sorted(path.name for path in RULES.glob("ATS*"))
# The file in which the rule's file is read.
NAMES = {"ATS101": "compress.config", "ATS401": "records.config", "ATS402": "remap.config"}
QUICK = ("--ttft", "50", "--gap", "5", "--tokens", "300")

StartSim = Callable[..., Simulator]
StartOne = Callable[..., RunningProxy]


def environment(place: Workspace) -> dict[str, str]:
    return {
        "PROXY_CONFIG_ADMIN_USER_ID": place.account.user if place.account else "#-1",
        "PROXY_CONFIG_EXEC_THREAD_AUTOCONFIG": "0",
        "PROXY_CONFIG_EXEC_THREAD_LIMIT": "1",
        "PROXY_CONFIG_CRASH_LOG_HELPER": "NULL",
    }


def start_files(own: Callable[[Workspace], Mapping[str, str]], origin: str) -> RunningProxy:
    """Traffic Server with these files in its ``etc``, and what they need around them."""

    def plan(place: Workspace) -> LaunchPlan:
        around = {
            "records.config": trafficserver.render(place),
            "remap.config": f"map / {origin}/\n",
            "plugin.config": "",
            "storage.config": f"{place.directory}/cache 16M\n",
            "ip_allow.yaml": trafficserver._ALLOW_LOOPBACK,
        }
        files = {f"etc/{name}": text for name, text in {**around, **own(place)}.items()}
        return LaunchPlan(
            config=files.pop("etc/records.config"),
            config_name="etc/records.config",
            arguments=(f"--run-root={place.directory}/runroot.yaml",),
            files={**files, "runroot.yaml": trafficserver._run_root(place)},
            folders=("etc", "run", "log", "cache"),
            environment=environment(place),
        )

    accounts = ("trafficserver", "nobody")
    program = "traffic_server"
    return start("trafficserver", plan, program=program, version_flag="-V", accounts=accounts)


def text_of(code: str, kind: str) -> str:
    (file,) = (RULES / code).glob(f"{kind}.*")
    return file.read_text("utf-8")


@pytest.fixture
def ats(run_proxy: RunProxy) -> StartOne:
    """Traffic Server with a rule's file, and a limit in it made shorter."""

    def run(
        code: str, kind: str, model: Simulator, shorter: tuple[str, str] = ("", "")
    ) -> RunningProxy:
        text = text_of(code, kind)
        assert kind != "bad" or shorter[0] in text
        origin = int(model.url.rpartition(":")[2])

        def own(place: Workspace) -> dict[str, str]:
            ported = with_ports(text.replace(*shorter), listen=place.port, origin=origin)
            ported = ported.replace("STRING 8080:", f"STRING {place.port}:")
            files = {NAMES[code]: ported}
            if code == "ATS101":
                files["plugin.config"] = "compress.so compress.config\n"
            return files

        return run_proxy(start_files, own, model.url)

    return run


def both(model: Simulator, pair: tuple[RunningProxy, RunningProxy]) -> tuple[Report, Report]:
    bad, fixed = measure(model, lambda: [check(proxy.url, beacon=True) for proxy in pair])
    return bad, fixed


def verified(folder: Path, **own: str) -> tuple[bool, str]:
    """Whether its own check takes these files of ``etc``, by names with _ for the dot."""
    try:
        program = find_program("traffic_server")
    except Missing as missing:
        skip_or_fail(missing)
    place = Workspace(folder, 8080)
    for name in ("etc", "run", "log", "cache"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "runroot.yaml").write_text(trafficserver._run_root(place), "utf-8")
    around = {
        "storage_config": f"{folder}/cache 16M\n",
        "plugin_config": "",
        "remap_config": "map / http://127.0.0.1:9000/\n",
        "records_config": text_of("ATS401", "good"),
    }
    for name, text in {**around, **own}.items():
        (folder / "etc" / name.replace("_", ".")).write_text(text, "utf-8")
    done = subprocess.run(
        [program, f"--run-root={folder}/runroot.yaml", "-C", "verify_config"],
        env={**os.environ, **environment(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", ["bad", "good", "fixed"])
@pytest.mark.parametrize("code", CODES)
def test_traffic_server_takes_the_files(code: str, kind: str, tmp_path: Path) -> None:
    own = {NAMES[code].replace(".", "_"): text_of(code, kind)}
    if code == "ATS101":
        own["plugin_config"] = "compress.so compress.config\n"
    accepted, words = verified(tmp_path, **own)
    assert accepted, words


def test_traffic_server_refuses_nonsense(tmp_path: Path) -> None:
    wrong = "no_such_directive / http://127.0.0.1:9000/\n"
    accepted, words = verified(tmp_path, remap_config=wrong)
    assert not accepted
    assert "remap.config" in words


def test_a_compressor_that_is_not_flushed_holds(simulator: StartSim, ats: StartOne) -> None:
    model = simulator(*QUICK)
    bad, fixed = both(model, (ats("ATS101", "bad", model), ats("ATS101", "fixed", model)))
    assert hop_json(bad)["verdict"] == "held-to-end"
    assert hop_json(fixed)["verdict"] == "streaming"


def test_a_silence_longer_than_the_limit_is_a_cut(simulator: StartSim, ats: StartOne) -> None:
    model = simulator("--gap", "5", "--tokens", "30", "--stall-after", "20", "--stall", "4000")
    shorter = ("timeout_out INT 10", "timeout_out INT 1")
    pair = (ats("ATS401", "bad", model, shorter), ats("ATS401", "fixed", model))
    bad, fixed = both(model, pair)
    assert hop_json(bad)["complete"] is False
    assert hop_json(fixed)["complete"] is True


def test_a_limit_on_age_cuts_a_lively_stream_on_its_map(simulator: StartSim, ats: StartOne) -> None:
    model = simulator("--ttft", "50", "--gap", "50", "--tokens", "80")
    shorter = ("_in=30", "_in=1")
    # In `fixed` only the other map keeps the limit.
    pair = (ats("ATS402", "bad", model, shorter), ats("ATS402", "fixed", model, shorter))
    bad, fixed = both(model, pair)
    assert hop_json(bad)["complete"] is False
    assert hop_json(fixed)["complete"] is True


@pytest.mark.parametrize("path", ["/", "/v1/"])
def test_what_render_writes_streams_as_it_is(
    path: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    """With the line of remap.config that it names."""
    model = simulator(*QUICK)

    def own(place: Workspace) -> dict[str, str]:
        listen = f"127.0.0.1:{place.port}"
        request = RenderRequest(upstream=model.url, path=path, listen=listen)
        text = dialect_named("trafficserver").render(request)
        maps = [line[1:].strip() for line in text.splitlines() if line.startswith("#   map ")]
        assert len(maps) == 1
        return {"records.config": text, "remap.config": maps[0] + "\n"}

    proxy = run_proxy(start_files, own, model.url)
    (report,) = measure(model, lambda: [check(proxy.url, beacon=True)])
    assert hop_json(report)["verdict"] == "streaming"
    assert codes_by_hop(report) == {}
