"""`undam check` against relays and middleware without fingerprints: the first suspect is correct.

scripts/install-relays installs the programs. Each relay also has a configuration that streams.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trustme

from support.chunked import LAST_CHUNK, chunk
from support.live import Simulator, check, hop_json, skip_or_fail, start_simulator
from support.threaded_server import DONE, head, serving, token
from undam.lab.proxies import Missing, RunningProxy
from undam.lab.proxies.plan import LaunchPlan, Workspace
from undam.lab.proxies.process import start
from undam.probe import Report
from undam.rules import Verdict
from undam.wire import ClientConfig

pytestmark = [pytest.mark.live, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
RELAYS = ROOT / ".proxies" / "relays"
SUPPORT = ROOT / "tests" / "support"
NODE_MODULES = RELAYS / "node" / "node_modules"

TOKENS = "/v1/chat/completions?tokens=60&gap=25"
NEXT_CONFIG = """\
module.exports = {
  async rewrites() {
    return [{ source: "/v1/:path*", destination: "UPSTREAM/v1/:path*" }];
  },
};
"""


def require(path: Path) -> None:
    if not path.exists():
        raise Missing(path.name, "scripts/install-relays")


def start_node(kind: str, upstream: str) -> RunningProxy:
    require(NODE_MODULES / "fastify")

    def plan(workspace: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=(SUPPORT / "relays.js").read_text(),
            config_name="relays.js",
            arguments=("relays.js", kind, str(workspace.port), upstream),
            environment={"NODE_PATH": str(NODE_MODULES)},
        )

    return start(kind, plan, program="node")


def start_next(upstream: str) -> RunningProxy:
    """Start Next.js with a rewrite; it compresses responses in development and in production."""
    require(NODE_MODULES / "next")

    def plan(workspace: Workspace) -> LaunchPlan:
        (workspace.directory / "node_modules").symlink_to(NODE_MODULES)
        program = NODE_MODULES / "next" / "dist" / "bin" / "next"
        port = str(workspace.port)
        return LaunchPlan(
            config=NEXT_CONFIG.replace("UPSTREAM", upstream),
            config_name="next.config.js",
            arguments=(str(program), "dev", "--webpack", "-p", port, "-H", "127.0.0.1"),
            files={"pages/index.js": "export default () => null;\n", "package.json": "{}\n"},
            environment={"NEXT_TELEMETRY_DISABLED": "1"},
        )

    return start("next", plan, program="node")


def start_python(
    name: str, *module: str, gzip: bool = False, path: Path | None = None
) -> RunningProxy:
    """Start a Python program on the workspace's port; "PORT" in an argument is replaced."""
    if path is not None:
        require(path)

    def plan(workspace: Workspace) -> LaunchPlan:
        folders = [str(folder) for folder in (path, SUPPORT) if folder is not None]
        arguments = [
            part.replace("PORT", str(workspace.port)).replace("DIR", str(workspace.directory))
            for part in module
        ]
        return LaunchPlan(
            config="",
            config_name="empty",
            arguments=tuple(arguments),
            environment={"PYTHONPATH": ":".join(folders), "GZIP": "1" if gzip else "0"},
        )

    return start(name, plan, program=sys.executable)


GUNICORN = ("-m", "gunicorn", "-b", "127.0.0.1:PORT", "relay_apps:django_application()")
UVICORN = (
    "-m", "uvicorn", "--factory", "--port", "PORT", "--log-level", "error",
    "relay_apps:starlette_application",
)  # fmt: skip
MITMDUMP = (
    "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()", "-q", "--listen-host",
    "127.0.0.1", "-p", "PORT", "--ssl-insecure", "--set", "confdir=DIR",
)  # fmt: skip


@dataclass(frozen=True)
class Relay:
    """A relay to check: settings and expected suspects.

    Args:
        start: starts it in front of a URL.
        first: the expected first suspect; empty if the stream is not held.
        no_transform: whether the origin sends no-transform.
    """

    start: Callable[[str], RunningProxy]
    first: str
    no_transform: bool = False


def _application(*arguments: str, **settings: object) -> Callable[[str], RunningProxy]:
    return lambda _upstream: start_python("application", *arguments, **settings)  # type: ignore[arg-type]


RELAY_CASES = {
    "next-rewrites": Relay(start_next, "nextjs"),
    "next-no-transform": Relay(start_next, "", no_transform=True),
    "fastify-compress": Relay(partial(start_node, "fastify-compress"), "fastify-compress"),
    "fastify": Relay(partial(start_node, "fastify"), ""),
    "interceptor": Relay(partial(start_node, "express-interceptor"), "http-proxy-middleware"),
    "express": Relay(partial(start_node, "express"), ""),
    "django-gzip": Relay(_application(*GUNICORN, gzip=True), "django-gzip"),
    "django": Relay(_application(*GUNICORN), ""),
    "starlette-0.45-gzip": Relay(
        _application(*UVICORN, gzip=True, path=RELAYS / "starlette-0.45"), "starlette-gzip"
    ),
    "starlette-gzip": Relay(_application(*UVICORN, gzip=True), ""),
}


@pytest.fixture(scope="module")
def origins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Simulator]]:
    folder = tmp_path_factory.mktemp("origins")
    running = {
        False: start_simulator(folder, number=1),
        True: start_simulator(
            folder, "--header", "Cache-Control: no-cache, no-transform", number=2
        ),
    }
    yield running
    for one in running.values():
        one.stop()


@pytest.fixture(params=RELAY_CASES)
def case(request: pytest.FixtureRequest) -> Relay:
    return RELAY_CASES[request.param]


def measured(relay: Relay, origin: Simulator) -> Report:
    try:
        with relay.start(origin.url) as running:
            return asyncio.run(check(running.url, path=TOKENS))
    except Missing as missing:
        skip_or_fail(missing)


def test_the_relay_that_holds_is_the_first_suspect(
    case: Relay, origins: dict[bool, Simulator]
) -> None:
    report = measured(case, origins[case.no_transform])
    if not case.first:
        assert report.verdict is Verdict.STREAMING
        assert report.suspects == {}
        return
    assert report.hops[0].shape.held
    named = report.suspects["edge"]
    assert named[0].name == case.first
    assert named[0].evidence
    assert "nginx" not in [one.name for one in named]


def tls_stream(conn: socket.socket, _: bytes) -> None:
    conn.sendall(head())
    for _number in range(60):
        conn.sendall(chunk(token()))
        time.sleep(0.025)
    conn.sendall(chunk(DONE) + LAST_CHUNK)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("streams", [False, True])
def test_mitmproxy_as_the_proxy_in_use(scheme: str, streams: bool) -> None:
    extra = ("--set", "stream_large_bodies=1") if streams else ()
    with ExitStack() as stack:
        tls = server_context() if scheme == "https" else None
        origin = stack.enter_context(serving(tls_stream, tls))
        try:
            proxy = stack.enter_context(
                start_python("mitmproxy", *MITMDUMP, *extra, path=RELAYS / "mitmproxy")
            )
        except Missing as missing:
            skip_or_fail(missing)
        url = origin.url("", scheme=scheme)
        client = ClientConfig(proxy=proxy.url, insecure=True)
        report = asyncio.run(check(url, client=client, model="m"))
    assert hop_json(report)["proxy"] == proxy.url
    if scheme == "https":
        assert "mitmproxy" in report.hops[0].intermediaries
    if streams:
        assert report.verdict is Verdict.STREAMING
        return
    assert report.verdict is Verdict.HELD_TO_END
    assert "UD116" in {one.code for one in report.findings}
    first = report.suspects["edge"][0]
    assert first.name == ("mitmproxy" if scheme == "https" else f"proxy {proxy.url}")
    assert first.fix is not None
    assert "stream_large_bodies" in first.fix.text


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context
