"""`undam doctor`: report which features work on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undam.cli.main import EXIT_CLEAN, EXIT_FINDINGS
from undam.cli.ui.output import STDOUT, console, json_option, write_json
from undam.cli.ui.sanitize import one_line

if TYPE_CHECKING:
    from undam.cli.commands.doctor.capabilities import Capability

_STYLES = {"ok": "green", "limited": "yellow", "missing": "yellow", "failed": "bold red"}


@click.command()
@json_option
def command(json_to: str | None) -> int:
    """Report which features work on this machine, and how to enable the others.

    Nothing is sent over the network: timestamps are tested on a loopback connection. For keys and
    proxy addresses, only the variable names are printed, not the values.

    Exit codes: 0 if streams can be measured exactly, 1 if not.
    """
    from undam.cli.commands.doctor.capabilities import capabilities  # noqa: PLC0415
    from undam.cli.commands.doctor.host_facts import collect_facts  # noqa: PLC0415

    found = capabilities(collect_facts())
    if json_to is not None:
        write_json(doctor_json(found), json_to)
    if json_to != STDOUT:
        out = console()
        width = max(len(one.name) for one in found)
        for one in found:
            out.print(f"{one.state:<8}", style=_STYLES[one.state], end="")
            out.print(f"{one.name:<{width}}  {one_line(one.text)}")
    return EXIT_FINDINGS if any(one.state == "failed" for one in found) else EXIT_CLEAN


def doctor_json(found: list[Capability]) -> dict[str, object]:
    """Return the report as JSON data in schema 1."""
    rows = [
        {"name": one.name, "state": one.state, "text": one.text, "details": dict(one.details)}
        for one in found
    ]
    return {"schema": 1, "command": "doctor", "capabilities": rows}
