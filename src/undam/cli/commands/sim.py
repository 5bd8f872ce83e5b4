"""`undam sim`: a simulated model server with a known schedule."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from undam.cli.ui.output import announce, json_option
from undam.host import raise_file_limit
from undam.simulator import Simulator, SimulatorSettings
from undam.simulator.apis.forms import FORMS
from undam.simulator.settings import parse_header, with_options
from undam.timing.distribution import ACCEPTED
from undam.wire.clock import without_collector

_DEFAULTS = SimulatorSettings()
_FORM_NAMES = ", ".join(path.removeprefix("/forms/") for path in FORMS)


@click.command(
    epilog="Paths: /v1/chat/completions, /v1/completions, /v1/responses, /v1/messages, /v1/models, "
    "/sse, /ndjson, /v1/stream (plain `data: token`), /healthz, and /forms/NAME for the streams of "
    f"other APIs: {_FORM_NAMES}. Every JSON object has its due time, except the events of "
    "/v1/stream. A request can override options in its query: "
    "?ttft=0&gap=exp(20)&tokens=50&heartbeat=5."
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
    help="Tokens per response; max_tokens in a request can lower it.",
)
@click.option(
    "--tokens-per-event",
    default="1",
    show_default=True,
    metavar="N",
    help="Tokens per event, sent after N gaps, like the stream interval of an engine.",
)
@click.option(
    "--burst",
    default=str(_DEFAULTS.burst),
    show_default=True,
    metavar="N|DIST",
    help="Events sent together, one gap after the previous ones; uniform(1,5) resembles "
    "speculative decoding.",
)
@click.option(
    "--event-bytes",
    metavar="N",
    help="Pad content events to N bytes, not counting the framing. Events have at least about "
    "13 bytes on /v1/stream, 75 on /sse, and 220 as chat chunks.",
)
@click.option(
    "--heartbeat",
    default="0",
    show_default=True,
    metavar="S",
    help="Send the comment `: ping` after S seconds of silence, also before the first token; "
    "0 sends none. /ndjson has no heartbeats.",
)
@click.option(
    "--stall-after", metavar="N", help="Stall once, after N content events, for --stall ms."
)
@click.option(
    "--stall",
    default="0",
    show_default=True,
    metavar="MS",
    help="Duration of the stall, which replaces a gap.",
)
@click.option(
    "--die-after",
    metavar="N",
    help="Close the connection after N content events, before the end of the body.",
)
@click.option(
    "--framing",
    metavar="chunked|close|length",
    default=_DEFAULTS.framing.value,
    show_default=True,
    help="Marker for the end of a stream; `length` sends a Content-Length.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'K: V'",
    help="Header of streams; replaces a default of the same name. Repeatable.",
)
@click.option(
    "--headers-late",
    is_flag=True,
    help="Send the response head together with the first bytes of the body.",
)
@click.option(
    "--truth",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write JSON lines with the arrival of requests, and due and send times of events.",
)
@click.option("--seed", default="0", show_default=True, metavar="N",
              help="Random seed; the same seed gives the same schedules and texts.")  # fmt: skip
@json_option
def command(
    *,
    host: str,
    port: int,
    headers: tuple[str, ...],
    headers_late: bool,
    truth: Path | None,
    json_to: str | None,
    **options: str | None,
) -> None:
    """Run a simulated model server with a known schedule, until SIGTERM or Ctrl-C.

    The first line on standard output is `listening on http://HOST:PORT`. With --json
    and no FILE, it is JSON that contains the URL.
    """
    settings = SimulatorSettings(
        host=host,
        port=port,
        headers=tuple(parse_header(text) for text in headers),
        headers_late=headers_late,
        truth=truth,
    )
    changes = [(name, text) for name, text in options.items() if text is not None]
    with Simulator(with_options(settings, changes)) as simulator:
        raise_file_limit()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: simulator.stop())
        announce("sim", simulator.url, json_to)
        with without_collector():
            simulator.serve()
