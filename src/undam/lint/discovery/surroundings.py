"""Reader for files next to a configuration: compose files, Dockerfiles, manifests and values.

They show which services are behind a route, and which version runs the configuration.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from undam.lint.evidence.neighbours import NO_NEIGHBOURS, Neighbours, neighbours_from
from undam.lint.files import STDIN, ConfigFiles
from undam.versions import Version

# Configurations are rarely more than three folders below the compose file that mounts them.
_MAX_LEVELS = 3
_MAX_FILES = 40
_MAX_BYTES = 300_000
_NAMES = re.compile(
    r"(?:docker-)?compose[^/]*\.ya?ml|(?:.*\.)?(?:docker|container)file(?:\..*)?|values[^/]*\.ya?ml"
    r"|requirements[^/]*\.txt|pyproject\.toml|poetry\.lock|uv\.lock"
    r"|[^/]*(?:deployment|service|statefulset|engine|serve|litellm|config)[^/]*\.ya?ml",
    re.IGNORECASE,
)
# Files that may contain Kubernetes resources. Such files can have any name.
_MANIFEST_NAMES = re.compile(r".*\.(?:ya?ml|json)", re.IGNORECASE)
_MAX_MANIFESTS = 60
_MAX_MANIFEST_BYTES = 100_000
_MANIFEST = re.compile(
    r"^[ \t]*[\"']?kind[\"']?[ \t]*:[ \t]*[\"']?(?:(?:HTTP|GRPC|AIGateway|Ingress|Apisix)Route"
    r"|(?:Client|Backend)?TrafficPolicy|(?:GCPBackend|EnvoyExtension|ProxySettings)Policy|Gateway"
    r"|GatewayClass|EnvoyProxy|VirtualService|Middleware|ServersTransport|BackendConfig|KongIngress"
    r"|KongPlugin|Ingress|Service|Deployment|StatefulSet|InferenceService)\b",
    re.MULTILINE,
)
# Python programs are examined only in the configuration's own folder.
_PROGRAMS = re.compile(r"[^/]+\.py", re.IGNORECASE)
# Header comment of a generated file, with the version of the program that the file is meant for.
_HEADER_LINES = 12
_HEADER_VERSION = re.compile(
    r"^[ \t]*#[^\n]*?\b(nginx|haproxy|caddy|traefik|envoy|varnish)"
    r"(?:[ /:=]+(?:version )?v?| version )(\d+\.\d+(?:\.\d+)?)",
    re.IGNORECASE | re.MULTILINE,
)


class Surroundings:
    """Evidence from the files around each configuration. Every folder is read once.

    Args:
        roots: folders that the user gave. Parent folders are searched only up to them, and up to
            the working directory.
    """

    def __init__(self, files: ConfigFiles, roots: Sequence[str]) -> None:
        self._files = files
        self._roots = {os.path.realpath(root) for root in (*roots, ".")}
        self._cache: dict[Path, Neighbours] = {}
        self._manifests: dict[Path, tuple[tuple[str, str], ...]] = {}

    def of(self, path: str) -> Neighbours:
        """Return the evidence from a file's folder and from its parent folders."""
        if path == STDIN:
            return NO_NEIGHBOURS
        folder = Path(os.path.realpath(path)).parent
        if folder not in self._cache:
            around = self._around(folder)
            texts = [one for here in around for one in self._texts(here)]
            programs = self._read(folder, _PROGRAMS, _MAX_FILES, _MAX_BYTES)
            manifests = (one for here in around for one in self._manifests_in(here))
            self._cache[folder] = neighbours_from([*texts, *programs], manifests)
        return self._cache[folder]

    def _around(self, folder: Path) -> list[Path]:
        """Return a folder and its parents, up to the nearest folder that the user gave."""
        found = []
        for here in (folder, *folder.parents)[: _MAX_LEVELS + 1]:
            found.append(here)
            if str(here) in self._roots:
                return found
        return found[:1]

    def _texts(self, folder: Path) -> list[tuple[str, str]]:
        return self._read(folder, _NAMES, _MAX_FILES, _MAX_BYTES)

    def _manifests_in(self, folder: Path) -> tuple[tuple[str, str], ...]:
        """Return the files in a folder that contain Kubernetes resources, except large files."""
        if folder not in self._manifests:
            texts = self._read(folder, _MANIFEST_NAMES, _MAX_MANIFESTS, _MAX_MANIFEST_BYTES + 1)
            self._manifests[folder] = tuple(
                (name, text)
                for name, text in texts
                if len(text) <= _MAX_MANIFEST_BYTES and _MANIFEST.search(text)
            )
        return self._manifests[folder]

    def _read(
        self, folder: Path, wanted: re.Pattern[str], most: int, size: int
    ) -> list[tuple[str, str]]:
        """Return names and texts of the first ``most`` matching files, cut to ``size`` bytes."""
        found = []
        try:
            present = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
        except OSError:
            return []
        for name in [one for one in present if wanted.fullmatch(one)][:most]:
            try:
                with (folder / name).open("rb") as file:
                    text = file.read(size).decode("utf-8", "replace")
            except OSError:
                continue
            found.append((self._files.name(str(folder / name)), text))
        return found


def header_targets(text: str) -> dict[str, Version]:
    """Return program versions from the header comments of a generated file, by program."""
    head = "\n".join(text.split("\n", _HEADER_LINES)[:_HEADER_LINES])
    found: dict[str, Version] = {}
    if "generat" not in head.lower():
        return found  # "needs nginx 1.13" does not give the installed version
    for name, number in _HEADER_VERSION.findall(head):
        version = Version.parse(number)
        assert version is not None  # found by a regular expression that requires digits
        found.setdefault(name.lower(), version)
    return found
