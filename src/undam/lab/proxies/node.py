"""Relays made of Node.js libraries: express with ``compression()``, http-proxy, and plain pipes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, get_args

from undam.errors import UsageError
from undam.lab.proxies.plan import LaunchPlan, Upstream, Workspace, upstream_of
from undam.lab.proxies.process import Proxy, start
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

# What scripts/install-proxies fills, in a checkout of this project.
_CHECKOUT_MODULES = Path(__file__).parents[4] / ".proxies" / "node_modules"

_NEEDS: dict[App, tuple[str, ...]] = {
    "plain": (),
    "compression": ("express", "compression"),
    "compression-flush": ("express", "compression"),
    "compression-flush-before": ("express", "compression"),
    "http-proxy": ("http-proxy",),
    "http-proxy-middleware": ("express", "http-proxy-middleware"),
}


def start_node(upstream: str, *, app: App = "plain") -> Proxy:
    """Start a Node.js relay before ``upstream`` (``http://HOST:PORT``).

    ``plain`` pipes the response; ``compression`` does so in an express application with
    ``compression()``, which holds the whole of a short stream; ``compression-flush`` also calls
    ``res.flush()`` after it has written a read, and ``compression-flush-before`` just before, so
    that each event waits for the next one; the others are what their names say. The libraries
    come from NODE_PATH or this checkout's .proxies; ``Missing`` names one that is in neither.
    """
    if app not in get_args(App):
        raise UsageError(f"no such Node.js relay: {app!r}; there is {', '.join(get_args(App))}")
    origin = upstream_of(upstream)
    find_program("node")
    modules = _modules()
    _require(_NEEDS[app], modules)

    def plan(place: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=_SCRIPT.read_text(encoding="utf-8"),
            config_name="node.js",
            arguments=arguments(origin, place, app),
            environment={"NODE_PATH": os.pathsep.join(map(str, modules))},
        )

    return start(f"node-{app}", plan, program="node")


def arguments(origin: Upstream, place: Workspace, app: App) -> tuple[str, ...]:
    """What node is called with: the script, the relay's kind, its port, and the next hop."""
    return ("node.js", app, str(place.port), origin.host.strip("[]"), str(origin.port))


def _modules() -> list[Path]:
    given = [Path(part) for part in os.environ.get("NODE_PATH", "").split(os.pathsep) if part]
    return [*given, _CHECKOUT_MODULES]


def _require(names: tuple[str, ...], modules: list[Path]) -> None:
    for name in names:
        if not any((folder / name / "package.json").is_file() for folder in modules):
            raise Missing(f"the Node.js package {name}", "scripts/install-proxies all")
