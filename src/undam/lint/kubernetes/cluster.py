"""Resources in a linted file, together with those in the files next to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from undam.lint.kubernetes.resources import Resource, read_resources, resources_of_neighbour
from undam.lint.kubernetes.workloads import Workload, service_witnesses, workloads_in
from undam.lint.routes import RouteHints
from undam.lint.settings import Settings
from undam.textfiles.source import Source, UnreadPart


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """All known resources of a cluster. Other files and the cluster itself may contain more.

    Args:
        own: resources of the linted file, which diagnostics refer to.
        beside: resources of the neighbouring files, which are only evidence.
        settings: the settings, with the evidence of the known workloads.
        unread: parts of the file that were not read.
        groups: API groups of these resources.
    """

    source: Source
    own: tuple[Resource, ...]
    beside: tuple[Resource, ...]
    settings: Settings
    unread: tuple[UnreadPart, ...]
    groups: frozenset[str]
    _by_kind: Mapping[str, tuple[Resource, ...]]
    _by_name: Mapping[tuple[str, str], Resource]

    @property
    def hints(self) -> RouteHints:
        """Evidence about routes from outside their configuration."""
        return self.settings.hints_for(self.source.path)

    def own_of(self, *kinds: str) -> Iterator[Resource]:
        """Yield the linted file's resources whose kind is one of ``kinds``."""
        return (one for one in self.own if one.kind in kinds)

    def all_of(self, *kinds: str) -> Iterator[Resource]:
        """Yield all known resources whose kind is one of ``kinds``, the linted file's first."""
        return (one for kind in kinds for one in self._by_kind.get(kind, ()))

    def named(self, kind: str, name: str) -> Resource | None:
        """Return the known resource with this kind and name; ``None`` if there is none."""
        return self._by_name.get((kind, name))


# Cached, because all files in a folder have the same neighbours.
@lru_cache(maxsize=4)
def _read_neighbours(
    manifests: tuple[tuple[str, str], ...],
) -> tuple[tuple[Resource, ...], tuple[Workload, ...]]:
    found = tuple(
        resource for path, text in manifests for resource in resources_of_neighbour(path, text)
    )
    return found, tuple(workloads_in(found))


def read_cluster(source: Source, settings: Settings) -> Cluster:
    """Return the resources of a file, and those of the files next to it.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    own, unread = read_resources(source)
    neighbouring, running = _read_neighbours(settings.neighbours.manifests)
    beside = tuple(one for one in neighbouring if one.source.path != source.path)
    every = (*own, *beside)
    workloads = [
        *workloads_in(own),
        *(one for one in running if one.resource.source.path != source.path),
    ]
    intervals = [one.heartbeat_s for one in workloads if one.heartbeat_s is not None]
    known = settings.neighbours
    neighbours = replace(
        known,
        services={**known.services, **service_witnesses(every, workloads)},
        heartbeat_s=known.heartbeat_s or max(intervals, default=None),
    )
    by_kind: dict[str, list[Resource]] = {}
    by_name: dict[tuple[str, str], Resource] = {}
    for one in every:
        by_kind.setdefault(one.kind, []).append(one)
        by_name.setdefault((one.kind, one.name), one)
    return Cluster(
        source,
        own,
        beside,
        replace(settings, neighbours=neighbours),
        unread,
        frozenset(one.group for one in every),
        {kind: tuple(found) for kind, found in by_kind.items()},
        by_name,
    )
