"""Options that several commands share: model, headers, certificates, and addresses."""

from __future__ import annotations

from typing import Any

import click

from undam.errors import UsageError

_MAX_PORT = 65535


def model_option(command: Any) -> Any:
    """Add ``--model``."""
    return click.option(
        "--model", metavar="M", help="Model to request [default: the first that the server lists]."
    )(command)


def header_option(command: Any) -> Any:
    """Add the repeatable option ``-H`` for request headers."""
    return click.option(
        "-H",
        "--header",
        "headers",
        multiple=True,
        metavar="'K: V'|@FILE",
        help="Request header, such as 'Authorization: Bearer KEY'; with @FILE, the headers in FILE "
        "(one per line, not visible in the process list). Repeatable.",
    )(command)


def method_option(command: Any) -> Any:
    """Add ``--method``, the equivalent of ``-X`` or ``--request`` in curl."""
    return click.option(
        "-X",
        "--method",
        "--request",
        "method",
        metavar="M",
        help="Request method [default: POST with a body, otherwise GET].",
    )(command)


def data_option(command: Any) -> Any:
    """Add ``--data``, the equivalent of ``-d`` in curl."""
    return click.option(
        "-d",
        "--data",
        metavar="@FILE|JSON",
        help="Request body, instead of the API's default one.",
    )(command)


def curl_option(command: Any) -> Any:
    """Add ``--curl``."""
    return click.option(
        "--curl",
        metavar="'curl …'|@FILE",
        help="Send the request of a curl command, such as a browser's 'Copy as cURL'.",
    )(command)


def redirect_options(command: Any) -> Any:
    """Add ``--location`` and ``--location-internal``."""
    for option in (
        click.option(
            "--location-internal",
            is_flag=True,
            help="Like --location, also to loopback, link-local and private addresses.",
        ),
        click.option(
            "--location",
            is_flag=True,
            help="Follow redirects to other origins, without the body and secrets of the request.",
        ),
    ):
        command = option(command)
    return command


def http_version_options(command: Any) -> Any:
    """Add ``--http1`` and ``--http2``, which set ``http_version``."""
    for version, text in (
        ("2", "Use HTTP/2, with prior knowledge for an http:// URL."),
        ("1.1", "Use HTTP/1.1 [default: the version that the server selects by ALPN]."),
    ):
        option = f"--http{version[0]}"
        command = click.option(option, "http_version", flag_value=version, help=text)(command)
    return command


def connection_options(command: Any) -> Any:
    """Add ``--cacert``, ``--cert``, ``--resolve`` and ``--insecure``, in this order."""
    for option in (
        click.option(
            "-k", "--insecure", is_flag=True, help="Do not verify the server's certificate."
        ),
        click.option(
            "--resolve",
            multiple=True,
            metavar="H:P:A",
            help="Connect to address A for host H and port P.",
        ),
        click.option("--cert", metavar="F", help="Client certificate with its private key (PEM)."),
        click.option("--cacert", metavar="F", help="Trust the CA certificates in this PEM file."),
    ):
        command = option(command)
    return command


def listen_address(text: str, example: str) -> tuple[str, int]:
    """Return the host and port from ``--listen``; an empty host means all addresses.

    Raises:
        UsageError: the text does not have the form HOST:PORT.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > _MAX_PORT:
        raise UsageError(f"--listen {text}: write HOST:PORT, for instance {example}")
    return host.strip("[]") or "0.0.0.0", int(port)
