"""The arguments that lint and fix share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

from undam.errors import UsageError
from undam.lint import DIALECTS, dialect_named
from undam.lint.project_settings import Flags
from undam.lint.runner import Request

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("paths", nargs=-1, metavar="PATH..."),
    click.option(
        "--dialect",
        metavar="NAME",
        help="Read named files as this, and take only its files from folders: "
        f"{', '.join(one.name for one in DIALECTS)}.",
    ),
    click.option("--select", multiple=True, metavar="RULES",
                 help="Only these: codes, beginnings of codes, or slugs; NGX,HAP1 is both."),
    click.option("--ignore", multiple=True, metavar="RULES", help="Not these."),
    click.option(
        "--stream",
        multiple=True,
        metavar="PREFIX",
        help="A path of the service that streams, as /v1/; then no others do. Otherwise it is told "
        "by their looks. Repeatable.",
    ),
    click.option(
        "--heartbeat",
        type=click.FloatRange(min=0, min_open=True),
        metavar="S",
        help="How often the servers behind send a heartbeat; idle limits are judged by it.",
    ),
    click.option("--exclude", multiple=True, metavar="PATTERN",
                 help="Leave out files and folders of this path or name. Repeatable."),
    click.option(
        "--config",
        metavar="FILE",
        help="Take settings from this file; otherwise each file has those of the nearest "
        "undam.toml or pyproject.toml, from its folder upwards.",
    ),
    click.option("--skip-unknown", is_flag=True,
                 help="Let named files be that are no configuration undam knows."),
)  # fmt: skip


def lint_options(command: Any) -> Any:
    """Add the arguments; ``request_of`` takes them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def request_of(paths: tuple[str, ...], given: dict[str, Any]) -> Request:
    """What is asked for. Raises UsageError."""
    if not paths:
        raise UsageError("there is no PATH; `.` is this folder, `-` standard input")
    dialect = given["dialect"]
    if dialect is not None:
        try:
            dialect_named(dialect)
        except KeyError:
            known = ", ".join(one.name for one in DIALECTS)
            raise UsageError(f"no dialect is called {dialect[:80]!r}; known: {known}") from None
    heartbeat = given["heartbeat"]
    if heartbeat is not None and not math.isfinite(heartbeat):
        raise UsageError(f"--heartbeat {heartbeat:g}: must be a number of seconds")
    flags = Flags(
        select=_listed(given["select"]),
        ignore=_listed(given["ignore"]),
        stream=given["stream"],
        exclude=given["exclude"],
        heartbeat_s=heartbeat,
        config=given["config"],
    )
    return Request(
        paths=paths,
        dialect=dialect,
        skip_unknown=given["skip_unknown"],
        flags=flags,
    )


def _listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """Several in one value, parted by commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())
