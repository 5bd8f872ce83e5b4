"""`undam render`: write a complete proxy configuration that does not hold streams."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import click

from undam.cli.main import EXIT_CLEAN
from undam.cli.ui.output import STDOUT, console, json_option, write_atomically, write_json
from undam.errors import UsageError
from undam.lint import RenderRequest, dialect_named
from undam.versions import Version

_DEFAULTS = RenderRequest(upstream="")
# Host names, IPv4 addresses, and IPv6 addresses in brackets. Their characters have no special
# meaning in any dialect.
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_MAX_IDLE_S = 30 * 24 * 3600.0


@click.command()
@click.argument("dialect")
@click.option(
    "--upstream", metavar="URL", required=True, help="Origin server, as http://HOST:PORT."
)
@click.option("--path", default=_DEFAULTS.path, show_default=True, metavar="PREFIX",
              help="Path prefix of the streaming route.")  # fmt: skip
@click.option("--idle", default=_DEFAULTS.idle_s, show_default=True, metavar="S",
              help="Maximum silence of a stream, in seconds.")  # fmt: skip
@click.option("--listen", default=_DEFAULTS.listen, show_default=True, metavar="HOST:PORT",
              help="Address to listen on.")  # fmt: skip
@click.option("--target", metavar="VERSION",
              help="Version of the program, for instance 1.30; by default, the configuration suits "
              "all versions.")  # fmt: skip
@click.option("--output", metavar="FILE", help="Write to FILE instead of standard output.")
@json_option
def command(dialect: str, output: str | None, json_to: str | None, **given: Any) -> int:
    """Write a complete, minimal DIALECT configuration that streams.

    The program that DIALECT belongs to accepts the configuration without changes.
    """
    text = dialect_named(dialect).render(request_from(**given))
    if output is not None:
        write_atomically(output, [text])
    if json_to is not None:
        write_json(_json(dialect, text, output), json_to)
    if output is None and json_to != STDOUT:
        console().print(text, end="")
    return EXIT_CLEAN


def request_from(
    *, upstream: str, path: str, idle: float, listen: str, target: str | None = None
) -> RenderRequest:
    """Validate the options, and reject values with a special meaning in a configuration.

    Raises:
        UsageError: an option is invalid; the message names it and the valid form.
    """
    if not _PATH.fullmatch(path):
        raise UsageError(
            f"--path {path[:80]!r}: must begin with / and contain only letters, digits and ._~-/"
        )
    if not 0 < idle <= _MAX_IDLE_S:
        raise UsageError(f"--idle {idle:g}: must be above 0 and at most {_MAX_IDLE_S:g} seconds")
    host, _, port = listen.rpartition(":")
    if not _HOST.fullmatch(host) or not _is_port(port):
        raise UsageError(
            f"--listen {listen[:80]!r}: must be HOST:PORT, for instance 127.0.0.1:8080"
        )
    version = None if target is None else Version.parse(target)
    if target is not None and version is None:
        raise UsageError(f"--target {target[:80]!r}: must be a version, for instance 1.30")
    return RenderRequest(
        upstream=_origin(upstream), path=path, idle_s=idle, listen=listen, target=version
    )


def _origin(upstream: str) -> str:
    """Return the URL as ``http://HOST:PORT``, with the port even if it is 80."""
    expected = "must be http://HOST:PORT"
    try:
        if not upstream.isprintable():  # urlsplit would ignore line breaks
            raise ValueError
        url = urlsplit(upstream if "//" in upstream else f"http://{upstream}")
        port = url.port
    except ValueError:
        raise UsageError(f"--upstream {upstream[:80]!r}: {expected}") from None
    if url.scheme == "https":
        raise UsageError(
            "--upstream: HTTPS is not supported; rendered configurations use plain HTTP upstream"
        )
    host = url.netloc.rpartition(":")[0] if port is not None else url.netloc.removesuffix(":")
    rest = url.path.strip("/") or url.query or url.fragment
    if url.scheme != "http" or not _HOST.fullmatch(host) or rest or port == 0:
        raise UsageError(f"--upstream {upstream[:80]!r}: {expected}, without a path")
    return f"http://{host}:{80 if port is None else port}"


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= 65535


def _json(dialect: str, text: str, output: str | None) -> dict[str, object]:
    return {"schema": 1, "command": "render", "dialect": dialect, "text": text, "output": output}
