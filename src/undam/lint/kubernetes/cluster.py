"""The resources of a file together with those of the files beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from undam.lint.kubernetes.resources import Resource, read_resources, resources_of_neighbour
from undam.lint.kubernetes.workloads import service_witnesses, workloads_in
from undam.lint.routes import RouteHints
from undam.lint.settings import Settings
from undam.textfiles.source import Source, UnreadPart


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """The resources in view. Other files and the cluster itself may have more of them.

    Args:
        own: resources of the linted file, which diagnostics refer to.
        beside: resources of the neighbouring files, which are only evidence.
        settings: the settings, with the evidence of the workloads in view.
        unread: parts of the file that were not read.
    """

    source: Source
    own: tuple[Resource, ...]
    beside: tuple[Resource, ...]
    settings: Settings
    unread: tuple[UnreadPart, ...]

    @property
    def hints(self) -> RouteHints:
        """The information about routes that is not in their configuration."""
        return self.settings.hints_for(self.source.path)

    def own_of(self, *kinds: str) -> Iterator[Resource]:
        """Yield the resources of the linted file that have one of the kinds."""
        return (one for one in self.own if one.kind in kinds)

    def all_of(self, *kinds: str) -> Iterator[Resource]:
        """Yield the resources in view that have one of the kinds, those of the file first."""
        return (one for one in (*self.own, *self.beside) if one.kind in kinds)

    def named(self, kind: str, name: str) -> Resource | None:
        """Return the resource in view with this kind and name."""
        return next((one for one in self.all_of(kind) if one.name == name), None)

    def has_group(self, group: str) -> bool:
        """Return whether a resource in view belongs to an API group or to a part of it."""
        every = (*self.own, *self.beside)
        return any(one.group == group or one.group.endswith(f".{group}") for one in every)


def read_cluster(source: Source, settings: Settings) -> Cluster:
    """Return the resources of a file, with those of the files beside it.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    own, unread = read_resources(source)
    beside = tuple(
        resource
        for path, text in settings.neighbours.manifests
        if path != source.path
        for resource in resources_of_neighbour(path, text)
    )
    every = (*own, *beside)
    intervals = [one.heartbeat_s for one in workloads_in(every) if one.heartbeat_s is not None]
    known = settings.neighbours
    neighbours = replace(
        known,
        services={**known.services, **service_witnesses(every)},
        heartbeat_s=known.heartbeat_s or min(intervals, default=None),
    )
    return Cluster(source, own, beside, replace(settings, neighbours=neighbours), unread)
