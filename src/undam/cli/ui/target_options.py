"""Options of every command that sends requests: model, headers, certificates."""

from __future__ import annotations

from typing import Any

import click


def model_option(command: Any) -> Any:
    """Add ``--model``."""
    return click.option(
        "--model", metavar="M", help="Model to request [default: the first that the server lists]."
    )(command)


def header_option(command: Any) -> Any:
    """Add ``-H``, which can be repeated."""
    return click.option(
        "-H",
        "--header",
        "headers",
        multiple=True,
        metavar="'K: V'",
        help="Request header, such as 'Authorization: Bearer KEY'; repeatable.",
    )(command)


def method_option(command: Any) -> Any:
    """Add ``--method``."""
    return click.option(
        "--method", metavar="M", help="Request method [default: POST with a body, otherwise GET]."
    )(command)


def connection_options(command: Any) -> Any:
    """Add ``--cacert``, ``--cert``, ``--resolve`` and ``--insecure``, in this order."""
    for option in (
        click.option("--insecure", is_flag=True, help="Do not verify the server's certificate."),
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
