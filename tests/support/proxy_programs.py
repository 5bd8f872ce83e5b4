"""Helpers that validate a configuration with the real program, or run that program.

The text is used unchanged. Further settings (PID file, foreground mode) are passed on the command
line and in the environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from undam.lab.proxies import RunningProxy, find_program
from undam.lab.proxies.plan import LaunchPlan, Workspace
from undam.lab.proxies.process import start

_CHECK_S = 60.0
_BIN = Path(sys.executable).parent

# Placeholder ports that the rule files contain.
LISTEN_PORT = 8080
ORIGIN_PORT = 9000


@dataclass(frozen=True, kw_only=True)
class Program:
    """Program that reads a configuration, and its command lines.

    Placeholders are ``{dir}`` (its folder), ``{conf}`` (the configuration file), ``{port}`` (the
    port to listen on) and ``{user}`` (nginx's `user` directive).

    Args:
        check: arguments to validate a configuration.
        run: arguments to run in the foreground.
        accounts: users for its processes if root starts it.
        error_markers: words in its output that mean an error even if the exit code is 0.
    """

    name: str
    config_name: str
    check: tuple[str, ...]
    run: tuple[str, ...]
    version_flag: str = "-v"
    accounts: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    error_markers: tuple[str, ...] = ()


_NGINX = ("-p", "{dir}/", "-c", "{conf}", "-e", "error.log", "-g")
NGINX = Program(
    name="nginx",
    config_name="nginx.conf",
    check=("-t", *_NGINX, "pid nginx.pid;"),
    run=(*_NGINX, "pid nginx.pid; daemon off; {user}"),
    accounts=("www-data", "nginx", "nobody"),
)
HAPROXY = Program(
    name="haproxy",
    config_name="haproxy.cfg",
    check=("-c", "-f", "{conf}"),
    run=("-db", "-f", "{conf}"),
    accounts=("haproxy", "nobody"),
)
ENVOY = Program(
    name="envoy",
    config_name="envoy.yaml",
    check=("--mode", "validate", "-l", "error", "-c", "{conf}"),
    run=("-c", "{conf}", "--concurrency", "1", "--log-level", "warning", "--disable-hot-restart"),
    version_flag="--version",
)
APACHE = Program(
    name="apache2",
    config_name="apache.conf",
    check=("-t", "-d", "{dir}", "-f", "{conf}"),
    run=("-d", "{dir}", "-f", "{conf}", "-E", "error.log", "-DFOREGROUND"),
    accounts=("www-data", "nobody"),
)
_CADDY = ("--config", "{conf}", "--adapter", "caddyfile")
CADDY = Program(
    name="caddy",
    config_name="Caddyfile",
    check=("validate", *_CADDY),
    run=("run", *_CADDY),
    version_flag="version",
    environment={"HOME": "{dir}", "XDG_CONFIG_HOME": "{dir}", "XDG_DATA_HOME": "{dir}"},
)
LIGHTTPD = Program(
    name="lighttpd",
    config_name="lighttpd.conf",
    check=("-tt", "-f", "{conf}"),
    run=("-D", "-f", "{conf}"),
    accounts=("www-data", "nobody"),
)
VARNISH = Program(
    name="varnishd",
    config_name="default.vcl",
    check=("-j", "none", "-C", "-n", "{dir}/work", "-f", "{conf}"),
    run=(
        *("-F", "-n", "{dir}/work", "-a", "127.0.0.1:{port}", "-f", "{conf}"),
        *("-s", "malloc,16m", "-T", "none"),
    ),
    version_flag="-V",
    accounts=("varnish",),
    folders=("work",),
)
SQUID = Program(
    name="squid",
    config_name="squid.conf",
    check=("-k", "parse", "-f", "{conf}"),
    run=("-N", "-f", "{conf}"),
    accounts=("proxy", "squid", "nobody"),
    error_markers=("unrecognized", "ERROR"),
)


def with_ports(text: str, *, listen: int, origin: int) -> str:
    """Return the text of a rule file with its two placeholder ports replaced."""
    for port, real in ((LISTEN_PORT, listen), (ORIGIN_PORT, origin)):
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{real}")
    return text


def validate_config(
    program: Program, text: str, folder: Path, files: Mapping[str, str] | None = None
) -> tuple[bool, str]:
    """Return whether the program accepts the configuration ``text``, and the program's output.

    Args:
        folder: empty folder for the program.
        files: further files, by names relative to the folder.

    Raises:
        Missing: the program is not installed.
    """
    place = Workspace(folder, LISTEN_PORT)
    for name, content in {program.config_name: text, **(files or {})}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8", newline="")
    for inside in program.folders:
        (folder / inside).mkdir(exist_ok=True)
    done = subprocess.run(
        [find_program(program.name), *_filled(program, program.check, place)],
        cwd=folder,
        env={**os.environ, **_environment(program, place)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_CHECK_S,
        check=False,
    )
    refused = any(word in done.stdout for word in program.error_markers)
    return done.returncode == 0 and not refused, done.stdout


def start_with_config(
    program: Program,
    text: Callable[[Workspace], str] | str,
    *,
    origin: str = f"http://127.0.0.1:{ORIGIN_PORT}",
    files: Mapping[str, str] | None = None,
) -> RunningProxy:
    """Run the program with the configuration ``text``.

    Args:
        text: text of a rule file, whose two ports are replaced; or a function of the workspace.
        origin: ``http://127.0.0.1:PORT`` of the origin.

    Raises:
        Missing: the program is not installed.
        NotStarted: the program exited or does not listen.
    """
    port = int(origin.rpartition(":")[2].rstrip("/"))

    def plan(place: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=(
                with_ports(text, listen=place.port, origin=port)
                if isinstance(text, str)
                else text(place)
            ),
            config_name=program.config_name,
            arguments=_filled(program, program.run, place),
            files=dict(files or {}),
            folders=program.folders,
            environment=_environment(program, place),
        )

    return start(program.name, plan, version_flag=program.version_flag, accounts=program.accounts)


def _filled(program: Program, arguments: tuple[str, ...], place: Workspace) -> tuple[str, ...]:
    return tuple(_fill(program, argument, place) for argument in arguments)


def _environment(program: Program, place: Workspace) -> dict[str, str]:
    paths = {"PATH": os.pathsep.join((str(_BIN), os.environ.get("PATH", ""), "/usr/sbin"))}
    return paths | {
        name: _fill(program, value, place) for name, value in program.environment.items()
    }


def _fill(program: Program, text: str, place: Workspace) -> str:
    conf = str(place.directory / program.config_name)
    filled = text.replace("{dir}", str(place.directory)).replace("{conf}", conf)
    account = place.account
    user = f"user {account.user} {account.group};" if account else ""
    return filled.replace("{port}", str(place.port)).replace("{user}", user)
