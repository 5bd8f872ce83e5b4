"""Arguments and options that `undam lint` and `undam fix` share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import click

from undam.errors import UsageError
from undam.lint import DIALECTS, LintOptions, SettingsOverrides, dialect_named
from undam.lint.project_settings import require_known_rules
from undam.lint.settings import read_target
from undam.versions import Version

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
        "skipped. By default, the evidence in the files decides. Repeatable.",
    ),
    click.option(
        "--heartbeat",
        type=click.FloatRange(min=0),
        metavar="S",
        help="Heartbeat interval of the servers behind the proxy; idle limits are compared with "
        "it. 0 states that there are none.",
    ),
    click.option(
        "--silence",
        type=click.FloatRange(min=0),
        metavar="S",
        help="Longest silence of a stream without heartbeats, 300 s by default; idle limits are "
        "compared with it.",
    ),
    click.option(
        "--target",
        multiple=True,
        metavar="NAME=VERSION",
        help="Version of a program, for instance nginx=1.30. By default, it is read from images "
        "and Dockerfiles beside the file. Repeatable.",
    ),
    click.option("--markdown", is_flag=True, help="Lint the code fences of Markdown documents."),
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
    """Return the options of one run, from the paths and options of the command line.

    Raises:
        UsageError: an option is invalid, or there is no path.
    """
    if not paths:
        raise UsageError("missing PATH; use `.` for this folder, `-` for standard input")
    if given["dialect"] is not None:
        dialect_named(given["dialect"])
    for name in ("heartbeat", "silence"):
        if given[name] is not None and not math.isfinite(given[name]):
            raise UsageError(f"--{name} {given[name]:g}: must be a number of seconds")
    overrides = SettingsOverrides(
        select=_split(given["select"]),
        ignore=_split(given["ignore"]),
        stream_paths=given["stream"],
        heartbeat_s=given["heartbeat"],
        silence_s=given["silence"],
        targets=targets_from(given["target"]),
    )
    require_known_rules((*overrides.select, *overrides.ignore), "--select/--ignore")
    return LintOptions(
        dialect=given["dialect"],
        skip_unknown=given["skip_unknown"],
        exclude=given["exclude"],
        markdown=given["markdown"],
        config_file=given["config"],
        overrides=overrides,
    )


def targets_from(values: Iterable[str]) -> dict[str, Version]:
    """Parse ``NAME=VERSION`` texts into a mapping from program names to versions.

    Raises:
        UsageError: a value has another form, or the program is unknown.
    """
    found: dict[str, Version] = {}
    for value in values:
        name, separator, version = value.partition("=")
        if not separator:
            raise UsageError(f"--target {value[:80]!r}: must be NAME=VERSION, such as nginx=1.30")
        found[name.strip()] = read_target(name.strip(), version, where="--target")
    return found


def _split(values: tuple[str, ...]) -> tuple[str, ...]:
    """Split comma-separated values."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())
