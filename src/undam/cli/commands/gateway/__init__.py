"""`undam gateway`: a reverse proxy that no stream is held in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from undam.cli.commands.gateway.text import shown, shown_json
from undam.cli.ui.output import STDOUT, announce, json_option, write_json
from undam.cli.ui.sanitize import one_line
from undam.errors import UsageError
from undam.gateway.config.config import Config, UpstreamConfig, make_config, upstream_from_url
from undam.gateway.config.options import BY_NAME, OPTIONS, Option, read_text
from undam.gateway.process.main import check_files, run_gateway

_METAVARS = {
    "text": "TEXT", "seconds": "S", "count": "N", "bytes": "BYTES", "texts": "A,B",
    "hedge": "off|auto|MS",
}  # fmt: skip
_FLAGS = {
    "listen": "HOST:PORT", "keys": "FILE", "upstream_key": "env:N|file:F",
    "upstream_cacert": "FILE", "tls_cert": "FILE", "tls_key": "FILE", "access_log": "FILE|-",
    "health_path": "PATH",
}  # fmt: skip


def _with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(OPTIONS):
        command = _flag(option)(command)
    return command


def _flag(option: Option) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    if option.kind == "switch":
        return click.option(option.flag, option.name, is_flag=True, default=None,
                            help=option.meaning)  # fmt: skip
    metavar = _FLAGS.get(option.name) or _METAVARS.get(option.kind) or "|".join(option.choices)
    default = option.default
    if isinstance(default, tuple):
        default = ",".join(default)
    elif isinstance(default, float):
        default = f"{default:g}"
    told = f"{option.meaning}  [default: {default}]" if default != "" else option.meaning
    return click.option(option.flag, option.name, metavar=metavar, help=told)


@click.command(
    epilog="Endpoints of its own: /-/healthz, /-/readyz, /-/metrics. SIGTERM lets streams end; a "
    "second one cuts them. SIGHUP reads --config and --keys anew: upstreams that are gone get no "
    "new stream, and none is dropped."
)
@click.option(
    "--upstream", "urls", multiple=True, metavar="URL", help="A model server. Repeatable."
)
@click.option(
    "--config",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="TOML with keys named as these flags, with underscores; flags win.",
)
@click.option("--check-config", "only_check", is_flag=True, help="Print what would run, and stop.")
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
    """Relay streams of model servers: nothing held, silence filled, the tail cut.

    The first line on standard output is `listening on http://HOST:PORT`, or JSON with the URL.
    """

    def load() -> Config:
        return _load(urls, file, flags)

    config = load()
    if only_check:
        check_files(config)
        if json_to is not None:
            write_json(shown_json(config), json_to)
        if json_to != STDOUT:
            click.echo("\n".join(shown(config)))
        return 0
    if STDOUT in {json_to} & {config.access_log}:
        raise UsageError("--json and --access-log cannot both have standard output: name a file")
    return run_gateway(
        config,
        load=load,
        announce=lambda url: announce("gateway", url, json_to),
        say=lambda text: click.echo(f"undam: {one_line(text)}", err=True),
    )


def _load(
    urls: tuple[str, ...], file: Path | None, flags: Mapping[str, str | bool | None]
) -> Config:
    """The configuration of the file as it stands now, with the flags above it."""
    values: dict[str, Any] = {}
    upstreams: list[UpstreamConfig] = []
    if file is not None:
        # With its parsers it takes 6 MB, in a process that stays.
        from undam.gateway.config.toml import parse_config  # noqa: PLC0415

        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "is no UTF-8"
            raise UsageError(f"--config {file}: {why}") from None
        values, upstreams = parse_config(text, str(file))
    for name, given in flags.items():
        if given is None:
            continue
        option = BY_NAME[name]
        try:
            values[name] = given if isinstance(given, bool) else read_text(option, given)
        except ValueError as problem:
            raise UsageError(f"{option.flag} {problem}") from None
    if urls:
        upstreams = [upstream_from_url(url) for url in urls]
    return make_config(values, upstreams)
