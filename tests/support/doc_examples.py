"""Examples in README.md and docs/: the commands, and the real output that the pages show.

A page has the mark ``<!-- output NAME -->`` in front of a code block. The command is run on real
programs; the page shows it with the usual ports (8080 for the proxy, 8000 for the model).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from support.chunked import LAST_CHUNK, chunk
from support.lossy_relay import plain_events
from support.threaded_server import DONE, head, serving, token
from support.undam_command import ListeningCommand, command_line, environment
from undam.lab.proxies import start_nginx

ROOT = Path(__file__).parents[2]
MARK = re.compile(r"<!-- output ([\w-]+) -->\n```\w*\n(.*?)```\n", re.DOTALL)

Addresses = Mapping[str, str]
"""Map from an address as shown, such as "127.0.0.1:8080", to the real one."""
SetUp = Callable[[Path], "contextlib.AbstractContextManager[Addresses]"]

_MODEL = ("--gap", "25", "--tokens", "120", "--ttft", "200", "--seed", "1")
_GZIP = "gzip on;\ngzip_types text/event-stream;\ngzip_min_length 0;"
# Findings of severity info, and numbers, differ between two runs.
_INFO = re.compile(r"^info UD\d+ .*\n(?:  .*\n)*\n?", re.MULTILINE)
_NUMBER = re.compile(r"~?\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class DocExample:
    """Command that a page shows, and the programs and files that it needs.

    Attributes:
        shown: the command as the page shows it.
        set_up: starts the programs, and returns their addresses.
        leave_out: pattern of lines that the page does not show. Findings of severity info are not
            shown either.
        most: number of lines to show; "…" stands for the rest.
    """

    name: str
    shown: str
    set_up: SetUp
    leave_out: str = ""
    most: int = 100

    def run(self) -> str:
        """Run the command; return the command and its output as the pages show them."""
        return f"$ {self.shown}\n{self._shortened(_output(self.shown, self.set_up))}"

    def _shortened(self, text: str) -> str:
        lines = [line.rstrip() for line in _INFO.sub("", text).splitlines()]
        if self.leave_out:
            lines = [line for line in lines if not re.search(self.leave_out, line)]
        shown = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n").splitlines()
        more = ["…"] if len(shown) > self.most else []
        return "\n".join([*shown[: self.most], *more]) + "\n"


@functools.cache
def _output(shown: str, set_up: SetUp) -> str:
    """Run a command only once, even if several examples show parts of the output."""
    with (
        tempfile.TemporaryDirectory(prefix="undam-docs-") as name,
        set_up(Path(name)) as addresses,
    ):
        done = subprocess.run(
            command_line(*shlex.split(_replaced(shown, addresses))[1:]),
            cwd=name, env=environment(NO_COLOR="1", COLUMNS="100"), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
        )  # fmt: skip
    if done.returncode not in {0, 1} or "Traceback" in done.stdout:
        raise AssertionError(f"{shown}: exit code {done.returncode}: {done.stdout}")
    return _replaced(done.stdout, {real: shown for shown, real in addresses.items()})


def _replaced(text: str, addresses: Addresses) -> str:
    for before, after in addresses.items():
        text = text.replace(before, after)
    return text


def comparable(text: str) -> str:
    """Return the text without numbers and timelines, which differ between runs."""
    lines = [line for line in text.splitlines() if not re.search(r"\|[ .:·▪█]+\|", line)]
    return "\n".join(" ".join(_NUMBER.sub("N", line).split()) for line in lines)


@contextlib.contextmanager
def _simulator(folder: Path, *arguments: str) -> Iterator[str]:
    simulator = ListeningCommand(
        "sim", "--port", "0", *(arguments or _MODEL), log=folder / "sim.log"
    )
    try:
        yield simulator.url.removeprefix("http://")
    finally:
        simulator.stop()


def nginx(location: str, http: str = "", *model: str) -> SetUp:
    """Return a set-up that runs nginx in front of a simulated model."""

    @contextlib.contextmanager
    def started(folder: Path) -> Iterator[Addresses]:
        with (
            _simulator(folder, *model) as origin,
            start_nginx(f"http://{origin}", location=location, http=http) as proxy,
        ):
            yield {
                "127.0.0.1:8080": proxy.url.removeprefix("http://"),
                "127.0.0.1:8000": origin,
            }

    return started


def files(**texts: str) -> SetUp:
    """Return a set-up that only writes files; argument ``nginx_conf`` becomes nginx.conf."""

    @contextlib.contextmanager
    def written(folder: Path) -> Iterator[Addresses]:
        for name, text in texts.items():
            (folder / name.replace("_", ".")).write_text(text)
        yield {}

    return written


@contextlib.contextmanager
def _torn(_: Path) -> Iterator[Addresses]:
    """Serve an answer twice: intact, and with characters that a relay has damaged."""

    def serve(text: str) -> Callable[[socket.socket, bytes], None]:
        def script(conn: socket.socket, _: bytes) -> None:
            conn.sendall(head())
            for number in range(60):
                (event, *_rest) = plain_events([text if number % 7 == 3 else "你好"])
                conn.sendall(chunk(event))
                time.sleep(0.02)
            conn.sendall(chunk(DONE) + LAST_CHUNK)

        return script

    with serving(serve("我\ufffd\ufffd个")) as edge, serving(serve("我们个")) as model:
        yield {
            "127.0.0.1:8080": f"127.0.0.1:{edge.port}",
            "127.0.0.1:8000": f"127.0.0.1:{model.port}",
        }


@contextlib.contextmanager
def _tool_calls(_: Path) -> Iterator[Addresses]:
    """Serve text that streams, then a tool call whose arguments arrive all at once after 2 s."""

    def script(conn: socket.socket, _: bytes) -> None:
        conn.sendall(head())
        for _number in range(30):
            conn.sendall(chunk(token()))
            time.sleep(0.02)
        time.sleep(2)
        function = {"name": "write", "arguments": json.dumps({"text": "x" * 3000})}
        delta = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": function}]}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        body = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
        conn.sendall(chunk(body) + chunk(DONE) + LAST_CHUNK)

    with serving(script) as server:
        yield {"127.0.0.1:8000": f"127.0.0.1:{server.port}"}


def _with_traffic(inner: SetUp) -> SetUp:
    """Return a set-up in which a few clients read through the proxy, as traffic for `undam tap`."""

    @contextlib.contextmanager
    def running(folder: Path) -> Iterator[Addresses]:
        with inner(folder) as addresses:
            url = f"http://{addresses['127.0.0.1:8080']}/v1/chat/completions"
            clients = subprocess.Popen(
                command_line("bench", url, "-c", "4", "--duration", "30", "--warmup", "0"),
                env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                yield _ports(addresses)
            finally:
                clients.terminate()
                clients.wait(20)

    return running


def _ports(addresses: Addresses) -> dict[str, str]:
    """Add replacements for port numbers alone, as in `--port`."""
    found = dict(addresses)
    for shown, real in addresses.items():
        found[f"--port {shown.rpartition(':')[2]}"] = f"--port {real.rpartition(':')[2]}"
    return found


_NGINX_CONF = """\
events {}
http {
    upstream vllm { server 127.0.0.1:8000; }
    server {
        listen 8080;
        location /v1/ {
            proxy_pass http://vllm;
        }
    }
}
"""
_UNDAM_TOML = "target = { nginx = '1.22' }\nheartbeat = 15\n"
_CURL = """\
curl 'http://127.0.0.1:8080/v1/chat/completions' -H 'accept-encoding: gzip, deflate, br' \\
  -H 'content-type: application/json' --data-raw '{"stream": true, "messages": []}'
"""


@contextlib.contextmanager
def _monitor_config(folder: Path) -> Iterator[Addresses]:
    with HELD(folder) as addresses:
        text = f'[[target]]\nname = "chat"\nurl = "{CHAT}"\nobjectives = ["ttft_p95<300ms"]\n'
        (folder / "monitor.toml").write_text(_replaced(text, addresses))
        yield addresses


@contextlib.contextmanager
def _browser_request(folder: Path) -> Iterator[Addresses]:
    with nginx("proxy_buffering on;\nproxy_http_version 1.1;", _GZIP)(folder) as addresses:
        (folder / "request.txt").write_text(_replaced(_CURL, addresses))
        yield addresses


CHAT = "http://127.0.0.1:8080/v1/chat/completions"
MODEL = "http://127.0.0.1:8000/v1/chat/completions"
HELD = nginx("proxy_http_version 1.0;")
CUT = nginx("proxy_buffering off;\nproxy_read_timeout 3s;")
FREED = nginx("proxy_http_version 1.0;\nproxy_buffering off;")

_FILES = files(nginx_conf=_NGINX_CONF, undam_toml=_UNDAM_TOML)
_DETAILS = (
    "^valid|TPOT|E2E|send delay|whole run|tokens counted|stalls|load generator|^  requests|UD90"
)
_FEW_TOKENS = ("--tokens", "30", "--gap", "20")

EXAMPLES: tuple[DocExample, ...] = (
    DocExample("check-held", f"undam check {CHAT} --hop model={MODEL}", HELD),
    DocExample("check-freed", f"undam check {CHAT} --hop model={MODEL}", FREED),
    DocExample("check-at-once", f"undam check {CHAT}", nginx("proxy_http_version 1.1;", _GZIP)),
    DocExample("check-cut", f"undam check {CHAT} --beacon --idle 8", CUT),
    DocExample(
        "bench-held",
        f"undam bench {CHAT} -c 20 -n 60 --slo 'ttft_p99<500ms'",
        HELD,
        _DETAILS,
    ),
    DocExample("check-browser", "undam check --curl @request.txt", _browser_request),
    DocExample("check-torn", f"undam check {CHAT} --hop model={MODEL} --model m", _torn),
    DocExample("check-tools", f"undam check {MODEL} --model m", _tool_calls),
    DocExample("lint", "undam lint nginx.conf", _FILES, "^$|^read"),
    DocExample("fix", "undam fix nginx.conf", _FILES),
    DocExample(
        "watch", "undam watch http://127.0.0.1:8000/v1 'Count'", nginx("", "", *_FEW_TOKENS)
    ),
    DocExample("doctor", "undam doctor", files()),
    # Examples with shorter output, for README.md.
    DocExample("check", f"undam check {CHAT} --hop model={MODEL}", HELD, "^  more:"),
    DocExample("explain", "undam explain UD102", files(), "^$", most=3),
    DocExample(
        "bench", f"undam bench {CHAT} -c 20 -n 60 --slo 'ttft_p99<500ms'", HELD, _DETAILS, most=3
    ),
    DocExample(
        "tap",
        "undam tap --port 8080 --port 8000 --duration 8",
        _with_traffic(HELD),
        r"^ .*\||stream, from|batched, \d|^         0 to|^$",
        most=3,
    ),
    DocExample("monitor", "undam monitor --config monitor.toml --once", _monitor_config, r"^\{"),
    DocExample(
        "render", "undam render lighttpd --upstream http://127.0.0.1:8000", files(), "#|^$", most=5
    ),
)


def example(name: str) -> DocExample:
    """Return the example called ``name``."""
    return next(one for one in EXAMPLES if one.name == name)


def pages() -> Iterator[tuple[Path, list[tuple[str, str]]]]:
    """Yield each page that shows examples, with the name and text of each block."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        found = MARK.findall(path.read_text("utf-8"))
        if found:
            yield path, found


def may_capture() -> bool:
    """Return whether this process may capture packets."""
    return os.geteuid() == 0
