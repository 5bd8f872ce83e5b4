"""`undam tap`: find the hop that holds streams in captured traffic."""

from __future__ import annotations

from typing import Any

import click

from undam.cli.main import EXIT_CLEAN, EXIT_FINDINGS
from undam.cli.ui.output import (
    STDOUT,
    console,
    json_option,
    require_writable,
    write_atomically,
    write_json,
)
from undam.errors import UsageError


@click.command(context_settings={"max_content_width": 100})
@click.option(
    "-i",
    "interfaces",
    multiple=True,
    metavar="IFACE",
    help="Capture on this interface; by default on all. Repeatable.",
)
@click.option(
    "-r",
    "files",
    multiple=True,
    metavar="FILE",
    help="Read this pcap or pcapng file instead; '-' is standard input. Repeatable.",
)
@click.option(
    "-w",
    "write_to",
    metavar="FILE",
    help="Write the streams to a pcapng file, with placeholders instead of their text.",
)
@click.option(
    "--port",
    "ports",
    multiple=True,
    type=click.IntRange(1, 65535),
    metavar="P",
    help="Use only connections with this port at either end. Repeatable.",
)
@click.option(
    "--duration",
    type=click.FloatRange(0.1, 7 * 86400),
    metavar="SECONDS",
    help="Stop the live capture after this time; by default it ends with Ctrl-C.",
)
@click.option(
    "--max-streams",
    type=click.IntRange(1),
    default=100_000,
    show_default=True,
    metavar="N",
    help="Analyze at most N streams.",
)
@click.option(
    "--keylog",
    metavar="FILE",
    help="TLS secrets in the format of SSLKEYLOGFILE, to decrypt the connections in -r.",
)
@click.option(
    "--keep-bodies",
    is_flag=True,
    help="Keep the text of the streams in --record, and the packets themselves in -w.",
)
@click.option(
    "--record",
    metavar="FILE",
    help="Save one stream per proxy, to re-analyze it with `undam report`.",
)
@click.option("--html", metavar="FILE", help="Write an HTML page with a diagram per proxy.")
@json_option
def command(
    json_to: str | None,
    record: str | None,
    html: str | None,
    write_to: str | None,
    keep_bodies: bool,
    **given: Any,
) -> int:  # fmt: skip
    """Find the proxy that holds streams by comparing the packets on its two sides.

    tap does not send any requests. It matches each stream on the client side of the proxy with the
    same stream on the origin side. An event's hold is the time between its packets on the two
    sides. A live capture needs root or the capability CAP_NET_RAW.

    \b
    Examples:
      undam tap --port 8080 --port 9000 --duration 60
      tcpdump -i any -s 0 -w - 'tcp port 8080 or tcp port 9000' | undam tap -r -

    Exit codes: 0 without errors and warnings, 1 with errors or warnings, 2 if nothing could be
    captured or read.
    """
    from undam.cli.commands.tap.capture import TapOptions, run_tap  # noqa: PLC0415 (not needed for --help)
    from undam.cli.commands.tap.report import (  # noqa: PLC0415
        is_clean,
        pictures_of,
        print_tap,
        record_of,
        tap_json,
    )

    if given["files"] and (given["interfaces"] or given["duration"] is not None):
        raise UsageError("-r reads files; -i and --duration belong to a live capture")
    if given["keylog"] is not None and not given["files"]:
        raise UsageError("--keylog needs -r: capture with -w first, then read that file")
    outputs = ((json_to, "--json"), (record, "--record"), (html, "--html"), (write_to, "-w"))
    for path, option in outputs:
        if path is not None and path != STDOUT:
            require_writable(path, option)
    run = run_tap(TapOptions(**given), write_to, keep_bodies=keep_bodies)
    if record is not None:
        write_atomically(record, record_of(run, keep_bodies=keep_bodies))
    if html is not None:
        from undam.report import render_capture_page  # noqa: PLC0415 (only for a page)

        write_atomically(html, [render_capture_page(tap_json(run), pictures_of(run))])
    if json_to is not None:
        write_json(tap_json(run), json_to)
    if json_to != STDOUT:
        print_tap(run, console())
    return EXIT_CLEAN if is_clean(run) else EXIT_FINDINGS
