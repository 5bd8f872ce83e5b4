"""Arguments and options shared by lint and fix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

from undam.errors import UsageError
from undam.lint import DIALECTS, LintOptions, SettingsOverrides, dialect_named
from undam.lint.project_settings import require_known_rules

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("paths", nargs=-1, metavar="PATH..."),
    click.option(
        "--dialect",
        metavar="NAME",
        help="Dialect of the named files. In folders, only files of this dialect are linted. "
        f"Known dialects: {', '.join(dialect.name for dialect in DIALECTS)}.",
    ),
    click.option("--select", multiple=True, metavar="RULES",
                 help="Enable only these rules: codes, prefixes of codes, or slugs, for instance "
                 "NGX,HAP1."),
    click.option("--ignore", multiple=True, metavar="RULES", help="Disable these rules."),
    click.option(
        "--stream",
        multiple=True,
        metavar="PREFIX",
        help="Path prefix of a route that streams, for instance /v1/. All other routes are then "
        "skipped. By default, streaming routes are recognised by path and upstream. Repeatable.",
    ),
    click.option(
        "--heartbeat",
        type=click.FloatRange(min=0, min_open=True),
        metavar="S",
        help="Heartbeat interval of the servers behind the proxy; idle limits are compared with "
        "it.",
    ),
    click.option("--exclude", multiple=True, metavar="PATTERN",
                 help="Leave out files and folders with this path or name. Repeatable."),
    click.option(
        "--config",
        metavar="FILE",
        help="Read settings from this file. By default, each file has the settings of the nearest "
        "undam.toml or pyproject.toml, from its folder upwards.",
    ),
    click.option("--skip-unknown", is_flag=True,
                 help="Skip named files that are not a configuration of a known dialect."),
)  # fmt: skip


def lint_options(command: Any) -> Any:
    """Add the arguments and options to a command; ``options_from`` reads them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def options_from(paths: tuple[str, ...], given: dict[str, Any]) -> LintOptions:
    """Validate the options.

    Raises:
        UsageError: an option is invalid, or there is no path.
    """
    if not paths:
        raise UsageError("missing PATH; use `.` for this folder, `-` for standard input")
    if given["dialect"] is not None:
        dialect_named(given["dialect"])
    heartbeat = given["heartbeat"]
    if heartbeat is not None and not math.isfinite(heartbeat):
        raise UsageError(f"--heartbeat {heartbeat:g}: must be a number of seconds")
    overrides = SettingsOverrides(
        select=_split(given["select"]),
        ignore=_split(given["ignore"]),
        stream_paths=given["stream"],
        heartbeat_s=heartbeat,
    )
    require_known_rules((*overrides.select, *overrides.ignore), "--select/--ignore")
    return LintOptions(
        dialect=given["dialect"],
        skip_unknown=given["skip_unknown"],
        exclude=given["exclude"],
        config_file=given["config"],
        overrides=overrides,
    )


def _split(values: tuple[str, ...]) -> tuple[str, ...]:
    """Split comma-separated values."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())
