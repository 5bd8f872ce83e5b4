"""Streaming services in a compose file, identified by image or name, with their dependencies."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from undam.lint.dialects.commands.parser import commands_in_yaml
from undam.lint.dialects.commands.programs import program_of
from undam.lint.dialects.compose.parser import ComposeService
from undam.lint.evidence.hop import Hop, Tier
from undam.lint.evidence.names import address_of, profile_named
from undam.lint.evidence.neighbours import profile_of_image
from undam.lint.evidence.profile import ServiceProfile, ServiceRole
from undam.lint.routes import AssessedRoute, Assessment, RouteOutcome
from undam.textfiles.source import Source
from undam.textfiles.tree import Node, items_of

_TIERS = {
    ServiceRole.APP: Tier.APP,
    ServiceRole.HUB: Tier.APP,
    ServiceRole.GATEWAY: Tier.GATEWAY,
    ServiceRole.ENGINE: Tier.ENGINE,
    ServiceRole.HOSTED: Tier.ENGINE,
}
_URL = re.compile(r"https?://[^\s\"'/,;]+")


@dataclass(frozen=True, slots=True)
class ServiceRoute:
    """A service that streams."""

    service: ComposeService
    profile: ServiceProfile
    assessed: AssessedRoute


def find_services(
    services: list[ComposeService], root: Node, source: Source
) -> Iterator[ServiceRoute]:
    """Yield the services that stream.

    A service whose command starts a known program is described by that command instead.
    """
    described = {
        command.names[0]
        for command in commands_in_yaml(source, [root])
        if command.names and program_of(command) is not None
    }
    known = {one.name for one in services}
    for service in services:
        image = service.text("image")
        profile = profile_of_image(image) or (None if image else profile_named(service.name))
        if profile is None:
            continue
        line, _ = source.position(service.node.start)
        what = f"runs {image}" if image else f"has the name of {profile.title}"
        assessment = Assessment(RouteOutcome.STREAMS, (f"the service {what}",))
        route = AssessedRoute(source.path, line, service.name, "", assessment)
        if service.name not in described:
            route = replace(route, hop=_hop(service, profile, known, source, route))
        yield ServiceRoute(service, profile, route)


def _hop(
    service: ComposeService,
    profile: ServiceProfile,
    known: set[str],
    source: Source,
    route: AssessedRoute,
) -> Hop:
    return Hop(
        _TIERS[profile.role],
        profile.title,
        route.path,
        route.line,
        tuple(names_of(service)),
        tuple(dict.fromkeys(_upstreams(service, known, source))),
        idle_limit_s=None if profile.role is ServiceRole.GATEWAY else math.inf,
        total_limit_s=None if profile.role is ServiceRole.GATEWAY else math.inf,
    )


def names_of(service: ComposeService) -> Iterator[str]:
    """Yield the names of a service and its published ports."""
    yield service.name
    for name in ("container_name", "hostname"):
        if text := service.text(name):
            yield text
    for item in items_of(service.node.get("ports")):
        parts = item.text.partition("/")[0].split(":")
        if len(parts) > 1 and parts[-2].isdecimal():
            yield f":{parts[-2]}"


def _upstreams(service: ComposeService, known: set[str], source: Source) -> Iterator[str]:
    """Yield the services that are named in URLs in a service's environment and arguments."""
    for one in service.settings(source, "environment"):
        for url in _URL.findall(one.value.text):
            if address_of(url).host in known:
                yield url
