"""The options that every command has which asks an endpoint: model, headers, certificates."""

from __future__ import annotations

from typing import Any

import click


def model_option(command: Any) -> Any:
    """Add ``--model``."""
    return click.option(
        "--model", metavar="M", help="The model to ask for [the first that the server lists]."
    )(command)


def header_option(command: Any) -> Any:
    """Add ``-H``, which may be given again."""
    return click.option(
        "-H",
        "--header",
        "headers",
        multiple=True,
        metavar="'K: V'",
        help="A request header, as 'Authorization: Bearer KEY'; may be given again.",
    )(command)


def method_option(command: Any) -> Any:
    """Add ``--method``."""
    return click.option(
        "--method", metavar="M", help="The request method [POST with a body, else GET]."
    )(command)


def connection_options(command: Any) -> Any:
    """Add ``--cacert``, ``--cert``, ``--resolve`` and ``--insecure``, in this order."""
    for option in (
        click.option("--insecure", is_flag=True, help="Accept any certificate."),
        click.option(
            "--resolve", multiple=True, metavar="H:P:A", help="Use address A for host H, port P."
        ),
        click.option("--cert", metavar="F", help="A client certificate with its key, PEM."),
        click.option("--cacert", metavar="F", help="Trust the certificates in this PEM file."),
    ):
        command = option(command)
    return command
