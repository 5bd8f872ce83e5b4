"""Evidence in the files next to a configuration: services, images and versions.

The texts are given; `undam.lint.discovery.surroundings` reads the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from undam.errors import ConfigSyntaxError
from undam.lint.evidence.names import profile_named
from undam.lint.evidence.profile import ServiceProfile
from undam.lint.evidence.profiles import PROFILES
from undam.textfiles.source import Source
from undam.textfiles.tree import Node, items_of
from undam.textfiles.yaml_reader import read_yaml
from undam.versions import Version

_FROM = re.compile(r"^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(\S+)", re.MULTILINE | re.IGNORECASE)
_IMAGE = re.compile(
    r"^[ \t-]*[\"']?(?:image|repository)[\"']?[ \t]*:[ \t]*[\"']?([\w./:@-]+)", re.MULTILINE
)
_TAGGED = re.compile(r"(?P<name>[^:@]+(?::\d+/[^:@]+)?)(?::(?P<tag>[^@]+))?")
# Maps the last part of an image name to the program in the image.
_PROGRAMS = {
    "nginx": "nginx", "nginx-unprivileged": "nginx", "openresty": "nginx", "haproxy": "haproxy",
    "haproxy-alpine": "haproxy", "caddy": "caddy", "traefik": "traefik", "envoy": "envoy",
    "httpd": "apache", "varnish": "varnish", "lighttpd": "lighttpd", "squid": "squid",
    "trafficserver": "trafficserver",
}  # fmt: skip
_NUMBERED = re.compile(r"v?\d+\.\d+")
# Exact framework versions in requirements.txt, pyproject.toml, poetry.lock and uv.lock.
_PINNED = re.compile(
    r"""^[ \t]*["']?(starlette|django)(?:\[[^]\n]*\])?[ \t]*==[ \t]*(\d+(?:\.\d+)*)"""
    r"""|^name = "(starlette|django)"\r?\nversion = "(\d+(?:\.\d+)*)\"""",
    re.MULTILINE | re.IGNORECASE,
)
# Engine and gateway flags and settings for the heartbeat interval, in seconds.
_HEARTBEAT = re.compile(
    r"(?:--sse-keep-alive-interval|--sse-ping-interval|sse_keepalive_ping_interval_seconds)"
    r"[\"']?[ =:,]+[\"']?(\d{1,6}(?:\.\d{1,3})?)"
)

# Settings in a configuration file of gunicorn, which is a Python program.
_GUNICORN = re.compile(
    r"^([ \t]*)(worker_class|threads|timeout)[ \t]*(?::[^=\n]*)?=[ \t]*([^#\n]*?)[ \t\r]*"
    r"(?:#[^\n]*)?$",
    re.MULTILINE,
)
_CONSTANT = re.compile(r"[\"']([\w.]*)[\"']|(\d{1,9}(?:\.\d{1,3})?)")
DYNAMIC = "?"
"""Key of settings that an expression computes."""
_STREAMS = re.compile(
    r"text/event-stream|EventSourceResponse|StreamingHttpResponse|StreamingResponse"
    r"|stream_with_context"
)


@dataclass(frozen=True, slots=True)
class ServiceWitness:
    """A service that is defined in a neighbouring file.

    Args:
        path: the file.
        image: its container image with the tag; empty if it is built from source.
        profile: what the image or the name shows it to be.
    """

    name: str
    path: str
    image: str
    profile: ServiceProfile | None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The evidence in the files next to a configuration.

    Args:
        services: by name, container name and host name.
        published: services by the port that they publish on the host.
        targets: version of each program whose image has one, by its dialect, and of each framework
            that a requirements file pins, by its name.
        heartbeat_s: interval that the flags of an engine set; ``None`` if no flag sets one.
        manifests: path and text of the files with resources of Kubernetes.
        programs: paths of the Python programs beside it that send streams.
        gunicorn: settings in the configuration files of gunicorn beside it, by file name.
    """

    services: Mapping[str, ServiceWitness] = field(default_factory=dict)
    published: Mapping[int, ServiceWitness] = field(default_factory=dict)
    targets: Mapping[str, Version] = field(default_factory=dict)
    heartbeat_s: float | None = None
    manifests: tuple[tuple[str, str], ...] = ()
    programs: tuple[str, ...] = ()
    gunicorn: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def apps(self) -> tuple[ServiceWitness, ...]:
        """The services that stream, without duplicates."""
        return tuple(dict.fromkeys(one for one in self.services.values() if one.profile))


NO_NEIGHBOURS = Neighbours()


def profile_of_image(image: str) -> ServiceProfile | None:
    """Return the profile for a container image. Registry, tag and digest are ignored."""
    name = _TAGGED.match(image)
    bare = name["name"].lower() if name else ""
    for one in PROFILES:
        for known in one.images:
            if f"/{bare}".endswith(f"/{known}") or (
                known.endswith("/") and f"/{known}" in f"/{bare}"
            ):
                return one
    return None


def image_version(image: str) -> tuple[str, Version] | None:
    """Return the dialect and version of an image if its tag is a version number."""
    found = _TAGGED.match(image)
    if found is None or not found["tag"] or not _NUMBERED.match(found["tag"]):
        return None
    program = _PROGRAMS.get(found["name"].rpartition("/")[2].lower())
    version = Version.parse(found["tag"])
    return (program, version) if program and version else None


def images_in(text: str) -> list[str]:
    """Return the images that a Dockerfile or a YAML file refers to."""
    return [*_FROM.findall(text), *_IMAGE.findall(text)]


def heartbeat_in(text: str) -> float | None:
    """Return the shortest heartbeat interval that flags in a text set, in seconds."""
    return min(map(float, _HEARTBEAT.findall(text)), default=None)


def pinned_versions(text: str) -> Iterator[tuple[str, Version]]:
    """Yield name and version of each framework that a requirements file or lock file pins."""
    for name, number, locked, locked_number in _PINNED.findall(text):
        version = Version.parse(number or locked_number)
        assert version is not None  # found by a regular expression that requires digits
        yield (name or locked).lower(), version


def gunicorn_settings(text: str) -> dict[str, str]:
    """Return the worker class, threads and timeout that a configuration file of gunicorn sets.

    The entry ``DYNAMIC`` shows that one of them is known only when gunicorn runs the file.
    """
    found: dict[str, str] = {}
    for indent, name, value in _GUNICORN.findall(text):
        constant = _CONSTANT.fullmatch(value)
        if constant is None or indent:
            found[DYNAMIC] = ""
        else:
            found[name] = constant[1] or constant[2]
    return found


def neighbours_from(
    files: Iterable[tuple[str, str]], manifests: Iterable[tuple[str, str]] = ()
) -> Neighbours:
    """Combine the evidence from files, each given as path and text.

    If a program occurs with two versions, its version is not known.

    Args:
        manifests: files with resources of Kubernetes.
    """
    services: dict[str, ServiceWitness] = {}
    published: dict[int, ServiceWitness] = {}
    versions: dict[str, set[Version]] = {}
    heartbeats: list[float] = []
    programs: list[str] = []
    gunicorn: dict[str, Mapping[str, str]] = {}
    for path, text in files:
        name = path.replace("\\", "/").rpartition("/")[2]
        if "gunicorn" in name and path.endswith(".py"):
            gunicorn[name] = gunicorn_settings(text)
        elif path.endswith(".py"):
            programs += [path] if _STREAMS.search(text) else []
        if path.endswith(".py"):
            continue
        for image in images_in(text):
            if known := image_version(image):
                versions.setdefault(known[0], set()).add(known[1])
        for framework, pinned in pinned_versions(text):
            versions.setdefault(framework, set()).add(pinned)
        if (interval := heartbeat_in(text)) is not None:
            heartbeats.append(interval)
        for names, ports, witness in _services(path, text):
            for name in names:
                services.setdefault(name.lower(), witness)
            for port in ports:
                published.setdefault(port, witness)
    targets = {name: next(iter(found)) for name, found in versions.items() if len(found) == 1}
    shortest = min(heartbeats, default=None)
    return Neighbours(
        services, published, targets, shortest, tuple(manifests), tuple(programs), gunicorn
    )


def _services(path: str, text: str) -> Iterator[tuple[list[str], list[int], ServiceWitness]]:
    """Yield the names, published ports and evidence for each service in a compose file."""
    if not path.lower().endswith((".yaml", ".yml")):
        return
    try:
        roots = read_yaml(Source(path, text)).roots
    except ConfigSyntaxError:
        return
    for root in roots:
        table = root.get("services")
        for entry in table.entries if table else ():
            node = entry.value
            image = _text(node.get("image"))
            name = entry.key.text
            profile = profile_of_image(image) or (None if image else profile_named(name.lower()))
            aliases = [_text(node.get(key)) for key in ("container_name", "hostname")]
            witness = ServiceWitness(name, path, image, profile)
            yield [name, *filter(None, aliases)], _published(node.get("ports")), witness


def _published(ports: Node | None) -> list[int]:
    found = []
    for item in items_of(ports):
        text = item.text if item.kind == "scalar" else _text(item.get("published"))
        parts = text.partition("/")[0].split(":")
        if len(parts) > 1 or item.kind == "map":
            outer = parts[-2] if len(parts) > 1 else parts[0]
            found += (
                [int(outer)] if outer.isascii() and outer.isdecimal() and len(outer) < 6 else []
            )
    return found


def _text(node: Node | None) -> str:
    return node.text if node is not None and node.kind == "scalar" else ""
