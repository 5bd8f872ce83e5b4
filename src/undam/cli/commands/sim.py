"""`undam sim`: a model server with a known schedule."""

from __future__ import annotations

import contextlib
import resource
import signal
from pathlib import Path

import click

from undam.cli.ui.output import announce, json_option
from undam.simulator import Simulator, SimulatorSettings
from undam.simulator.settings import parse_header, with_options
from undam.timing.distribution import ACCEPTED
from undam.wire.clock import without_collector

_DEFAULTS = SimulatorSettings()


@click.command(
    epilog="Paths: /v1/chat/completions, /v1/completions, /v1/responses, /v1/messages, /v1/models, "
    "/sse, /ndjson, /v1/stream (bare `data: token`, which has no room for a stamp), /healthz. "
    "Every event but [DONE] and those of /v1/stream carries its due time. A request may set "
    "knobs of its own in the query: ?ttft=0&gap=exp(20)&tokens=50&heartbeat=5."
)
@click.option("--host", default=_DEFAULTS.host, show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port to listen on; 0 picks a free one.")
@click.option(
    "--ttft",
    default=str(_DEFAULTS.ttft),
    show_default=True,
    metavar="MS|DIST",
    help=f"Milliseconds to the first token: {ACCEPTED}.",
)
@click.option(
    "--gap",
    default=str(_DEFAULTS.gap),
    show_default=True,
    metavar="MS|DIST",
    help="Milliseconds between tokens.",
)
@click.option(
    "--tokens",
    default=str(_DEFAULTS.tokens),
    show_default=True,
    metavar="N|DIST",
    help="Length of an answer; a request's max_tokens may cut it.",
)
@click.option(
    "--tokens-per-event",
    default="1",
    show_default=True,
    metavar="N",
    help="Tokens in one event, which comes after N gaps: an engine's stream interval.",
)
@click.option(
    "--burst",
    default=str(_DEFAULTS.burst),
    show_default=True,
    metavar="N|DIST",
    help="Events that leave together, one gap after the last ones: a speculative "
    "decoder is uniform(1,5).",
)
@click.option(
    "--event-bytes",
    metavar="N",
    help="Pad content events to N bytes, framing apart. The least is what the API needs: "
    "about 13 of /v1/stream, 75 of /sse, 220 of a chat chunk; less changes nothing.",
)
@click.option(
    "--heartbeat",
    default="0",
    show_default=True,
    metavar="S",
    help="Send the comment `: ping` after S silent seconds, before the first token, "
    "too; 0 is never. Not on /ndjson.",
)
@click.option(
    "--stall-after", metavar="N", help="Fall silent once, after N content events, for --stall."
)
@click.option(
    "--stall",
    default="0",
    show_default=True,
    metavar="MS",
    help="How long the one stall lasts; it stands in place of a gap.",
)
@click.option(
    "--die-after",
    metavar="N",
    help="Close the connection after N content events, without the body's end: a crashed model.",
)
@click.option(
    "--framing",
    metavar="chunked|close|length",
    default=_DEFAULTS.framing.value,
    show_default=True,
    help="How a stream says where it ends; `length` sends a Content-Length up front.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'K: V'",
    help="A header of streams; replaces the default of its name. Repeatable.",
)
@click.option(
    "--headers-late",
    is_flag=True,
    help="Send the response head only with the first bytes of the body.",
)
@click.option(
    "--truth",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write JSON lines: when each request came, each event was due and left.",
)
@click.option("--seed", default="0", show_default=True, metavar="N",
              help="Same seed, same schedules and texts, request by request.")  # fmt: skip
@json_option
def command(
    *,
    host: str,
    port: int,
    headers: tuple[str, ...],
    headers_late: bool,
    truth: Path | None,
    json_to: str | None,
    **knobs: str | None,
) -> None:
    """Run a model server with a known schedule, until SIGTERM or Ctrl-C.

    The first line on standard output is `listening on http://HOST:PORT`, or JSON with the URL.
    """
    settings = SimulatorSettings(
        host=host,
        port=port,
        headers=tuple(parse_header(text) for text in headers),
        headers_late=headers_late,
        truth=truth,
    )
    given = [(name, text) for name, text in knobs.items() if text is not None]
    with Simulator(with_options(settings, given)) as simulator:
        _raise_file_limit()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: simulator.stop())
        announce("sim", simulator.url, json_to)
        with without_collector():
            simulator.serve()


def _raise_file_limit() -> None:
    """Allow as many streams as the system does; many shells start with 1024 files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
