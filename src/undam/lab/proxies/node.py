"""Node.js relays: plain pipes, express with ``compression()``, and http-proxy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

from undam.errors import UsageError
from undam.lab.proxies.plan import LaunchPlan, UpstreamAddress, Workspace, parse_upstream
from undam.lab.proxies.process import RunningProxy, start
from undam.lab.proxies.programs import Missing, find_program

App = Literal[
    "plain",
    "compression",
    "compression-flush",
    "compression-flush-before",
    "http-proxy",
    "http-proxy-middleware",
]

_SCRIPT = Path(__file__).with_name("node.js")

# In a checkout of this project, scripts/install-proxies creates this folder.
_CHECKOUT_MODULES = Path(__file__).parents[4] / ".proxies" / "node_modules"

_NEEDS: dict[App, tuple[str, ...]] = {
    "plain": (),
    "compression": ("express", "compression"),
    "compression-flush": ("express", "compression"),
    "compression-flush-before": ("express", "compression"),
    "http-proxy": ("http-proxy",),
    "http-proxy-middleware": ("express", "http-proxy-middleware"),
}


def start_node(upstream: str, *, app: App = "plain") -> RunningProxy:
    """Start a Node.js relay in front of ``upstream`` (``http://HOST:PORT``).

    Args:
        app: ``plain`` pipes the response. ``compression`` adds ``compression()`` of express, which
            buffers a short stream completely. ``compression-flush`` also calls ``res.flush()``
            after each write. ``compression-flush-before`` calls it before each write, so that
            every event is delayed until the next one. The others use the library of that name.

    Raises:
        Missing: a library is neither in NODE_PATH nor in .proxies of this checkout.
    """
    if app not in get_args(App):
        raise UsageError(f"unknown Node.js relay {app!r}; use one of {', '.join(get_args(App))}")
    origin = parse_upstream(upstream)
    find_program("node")
    modules = _modules()
    _require(_NEEDS[app], modules)

    def plan(workspace: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=_SCRIPT.read_text(encoding="utf-8"),
            config_name="node.js",
            arguments=arguments(origin, workspace, app),
            environment={"NODE_PATH": os.pathsep.join(map(str, modules))},
        )

    return start(f"node-{app}", plan, program="node")


def arguments(origin: UpstreamAddress, workspace: Workspace, app: App) -> tuple[str, ...]:
    """Return the arguments for node: script, relay, port and upstream address."""
    return ("node.js", app, str(workspace.port), origin.host.strip("[]"), str(origin.port))


def _modules() -> list[Path]:
    given = [Path(part) for part in os.environ.get("NODE_PATH", "").split(os.pathsep) if part]
    return [*given, _CHECKOUT_MODULES]


def _require(names: tuple[str, ...], modules: list[Path]) -> None:
    for name in names:
        if not any((folder / name / "package.json").is_file() for folder in modules):
            raise Missing(f"the Node.js package {name}", "scripts/install-proxies all")
