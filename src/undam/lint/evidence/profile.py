"""Data model for profiles, by which applications, engines and hosted APIs are recognised."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ServiceRole(StrEnum):
    """Kind of service that streams."""

    APP = "app"
    """An application with a user interface that streams answers to browsers."""
    GATEWAY = "gateway"
    """A gateway in front of several model APIs."""
    ENGINE = "engine"
    """An inference engine."""
    HUB = "hub"
    """A server of events or tools that is not a model."""
    HOSTED = "hosted"
    """A model API that a provider operates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceProfile:
    """Profile of a service whose routes stream.

    Args:
        names: usual names of its services, containers and upstreams, in lower case, with hyphens.
        images: ends of the names of its container images, without registry and tag.
        ports: default ports that few other programs use.
        named_ports: common ports that identify it only together with this name of the host.
        hosts: ends of the host names of its API; an end that begins with a hyphen follows a region.
        paths: parts of its streaming paths that few other programs use, without outer slashes.
        source: where these facts are documented.
        dated: month in which they were recorded.
    """

    name: str
    title: str
    role: ServiceRole
    names: tuple[str, ...]
    images: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    named_ports: tuple[tuple[str, int], ...] = ()
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    source: str
    dated: str
