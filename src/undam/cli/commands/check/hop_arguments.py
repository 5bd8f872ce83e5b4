"""Options that give a hop its own request: ``--hop-data``, ``--hop-header`` and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from undam.cli.commands.check.request_parts import parse_header, read_curl, text_or_file
from undam.errors import UsageError
from undam.probe import Place

_OPTIONS = ("--hop-curl", "--hop-header", "--hop-data", "--hop-model")


def hop_options(command: Any) -> Any:
    """Add the options that give a hop its own request; ``with_own_requests`` reads them."""
    for name, metavar, text in (
        ("--hop-curl", "NAME=@FILE", "Send the request of a curl command to this hop."),
        ("--hop-model", "NAME=M", "Model name for this hop."),
        ("--hop-header", "NAME='K: V'", "Header for this hop. A key is sent only to this hop."),
        ("--hop-data", "NAME=@FILE", "Request body for this hop."),
    ):
        command = click.option(name, multiple=True, metavar=metavar, help=text)(command)
    return command


def with_own_requests(
    places: tuple[Place, ...], given: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[Place, ...]:
    """Return the hops, each with its own request if an option defines one.

    A hop that only ``--hop-curl`` names is added as the innermost one.

    Raises:
        UsageError: a value is invalid, or names a hop that was not given.
    """
    by_name = {place.name: place for place in places}
    for option in _OPTIONS:
        values = given.get(option[2:].replace("-", "_"), ())
        for text in values if isinstance(values, tuple) else ():
            name, equals, value = str(text).partition("=")
            if not equals or not value:
                raise UsageError(f"{option}: expected NAME=VALUE, with the name of a --hop")
            if name not in by_name and option != "--hop-curl":
                known = ", ".join(by_name)
                raise UsageError(f"{option} {name}=…: there is no such hop; the hops are: {known}")
            by_name[name] = _changed(by_name.get(name), name, option, value, environ)
    return tuple(by_name.values())


def _changed(
    place: Place | None, name: str, option: str, value: str, environ: Mapping[str, str]
) -> Place:
    if option == "--hop-curl":
        curl = read_curl(value, environ, option)
        return Place(
            name,
            curl.url if place is None else place.url,
            headers=curl.headers,
            data=curl.data,
            method=curl.method,
            proxy=curl.proxy,
        )
    assert place is not None
    if option == "--hop-model":
        return replace(place, model=value)
    if option == "--hop-data":
        return replace(place, data=text_or_file(value, option))
    header = parse_header(value, option)
    kept = tuple(line for line in place.headers if line[0].lower() != header[0].lower())
    return replace(place, headers=(*kept, header))
