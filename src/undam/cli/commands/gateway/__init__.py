"""`undam gateway`: a reverse proxy that does not buffer streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from undam.cli.commands.gateway.text import config_json, toml_lines
from undam.cli.ui.output import STDOUT, announce, json_option, write_json
from undam.cli.ui.sanitize import one_line
from undam.errors import UsageError
from undam.gateway.config.config import Config, UpstreamConfig, make_config, upstream_from_url
from undam.gateway.config.options import BY_NAME, OPTIONS, Option, SwitchType
from undam.gateway.process.files import check_files
from undam.gateway.process.main import run_gateway


def _with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(OPTIONS):
        command = _flag(option)(command)
    return command


def _flag(option: Option) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    if isinstance(option.type, SwitchType):
        return click.option(option.flag, option.name, is_flag=True, default=None, help=option.help)
    default = option.default
    if isinstance(default, tuple | frozenset):
        default = ",".join(map(str, sorted(default) if isinstance(default, frozenset) else default))
    elif isinstance(default, float):
        default = f"{default:g}"
    text = f"{option.help}  [default: {default}]" if default != "" else option.help
    return click.option(option.flag, option.name, metavar=option.type.metavar, help=text)


@click.command(
    epilog="Endpoints: /-/healthz, /-/readyz, /-/metrics. SIGTERM lets open streams end; a second "
    "one cuts them. SIGHUP reloads --config and --keys without dropping a stream; upstreams that "
    "were removed get no new streams."
)
@click.option(
    "--upstream", "urls", multiple=True, metavar="URL", help="URL of a model server. Repeatable."
)
@click.option(
    "--config",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="TOML file; its keys are these flags with underscores. Flags take precedence.",
)
@click.option(
    "--check-config", "only_check", is_flag=True, help="Check the configuration, print it and exit."
)
@_with_options
@json_option
def command(
    *,
    urls: tuple[str, ...],
    file: Path | None,
    only_check: bool,
    json_to: str | None,
    **flags: str | bool | None,
) -> int:
    """Relay streams from model servers without buffering, with heartbeats and hedging.

    The first line on standard output is `listening on http://HOST:PORT`. With --json
    and no FILE, it is JSON that contains the URL.
    """

    def load() -> Config:
        return _load(urls, file, flags)

    config = load()
    if only_check:
        check_files(config)
        if json_to is not None:
            write_json(config_json(config), json_to)
        if json_to != STDOUT:
            click.echo("\n".join(toml_lines(config)))
        return 0
    if STDOUT in {json_to} & {config.access_log}:
        raise UsageError("--json and --access-log cannot both write to standard output")
    return run_gateway(
        config,
        load=load,
        announce=lambda url: announce("gateway", url, json_to),
        log=lambda text: click.echo(f"undam: {one_line(text)}", err=True),
    )


def _load(
    urls: tuple[str, ...], file: Path | None, flags: Mapping[str, str | bool | None]
) -> Config:
    """Read the configuration file and apply the flags, which take precedence."""
    values: dict[str, Any] = {}
    upstreams: list[UpstreamConfig] = []
    aliases: dict[str, str] = {}
    if file is not None:
        # Import the parsers only if they are needed, because they occupy 6 MB of memory.
        from undam.gateway.config.toml import parse_config  # noqa: PLC0415

        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "is not UTF-8 text"
            raise UsageError(f"--config {file}: {reason}") from None
        parsed = parse_config(text, str(file))
        values, upstreams, aliases = parsed.values, parsed.upstreams, parsed.aliases
    for name, given in flags.items():
        if given is None:
            continue
        option = BY_NAME[name]
        try:
            values[name] = given if isinstance(given, bool) else option.type.from_flag(given)
        except ValueError as problem:
            raise UsageError(f"{option.flag} {problem}") from None
    if urls:
        upstreams = [upstream_from_url(url) for url in urls]
    return make_config(values, upstreams, aliases)
