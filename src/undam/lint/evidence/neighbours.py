"""Evidence in the files next to a configuration: services, images and versions.

The texts are given; `undam.lint.discovery.surroundings` reads the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_ARG = re.compile(r"^[ \t]*ARG[ \t]+(\w+)=[\"']?([\w.:/@-]+)", re.MULTILINE | re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}\s]*))?\}|\$(\w+)")
_IMAGE = re.compile(
    r"(?:^|[{,\s])[\"']?(image|repository)[\"']?[ \t]*:[ \t]*[\"']?"
    r"((?:[\w./:@-]|\$\{\w+(?::?-[^}\s]*)?\})+)",
    re.MULTILINE,
)
# The tag in the values of a Helm chart, or in a kustomization, follows the name of the image.
_NAME_LINE = re.compile(
    r"([ \t-]*)[\"']?(?:image|repository|name|newName)[\"']?[ \t]*:[ \t]*[\"']?([\w./-]+)"
    r"[\"']?[ \t]*"
)
_TAG_LINE = re.compile(
    r"([ \t]*)[\"']?(?:tag|newTag)[\"']?[ \t]*:[ \t]*[\"']?([\w.-]+)[\"']?[ \t]*"
)
_MAX_LINES_BETWEEN = 5
_NAME_AND_TAG = re.compile(
    r"[{,][ \t]*[\"']?(?:image|repository|name)[\"']?[ \t]*:[ \t]*[\"']?([\w./-]+)[\"']?[ \t]*,"
    r"[^{}\n]{0,200}?[\"']?(?:tag|newTag)[\"']?[ \t]*:[ \t]*[\"']?([\w.-]+)"
)
_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\n]*", re.MULTILINE)
_LIST_ITEM = re.compile(r"\n[ \t]*-[ \t]+")
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
        heartbeat_s: interval of its heartbeats; 0 if its command sets none, and ``None`` if the
            command is not known.
    """

    name: str
    path: str
    image: str
    profile: ServiceProfile | None
    heartbeat_s: float | None = None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The evidence in the files next to a configuration.

    Args:
        services: by name, container name and host name.
        published: services by the port that they publish on the host.
        targets: version of each program whose image has one, by its dialect, and of each framework
            that a requirements file pins, by its name.
        heartbeat_s: longest interval that the flags of engines set; ``None`` if no flag sets one.
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


def images_in(text: str) -> list[str]:
    """Return the images that a Dockerfile or a YAML file refers to, with the defaults of variables.

    An image whose name and tag are two values in YAML occurs twice, with and without the tag.
    """
    text = _COMMENT.sub("", text)
    return [*_images_with_tags(text), *(name for kind, name in _images(text) if kind != "image")]


def _images(text: str) -> Iterator[tuple[str, str]]:
    arguments = dict(_ARG.findall(text))

    def default(found: re.Match[str]) -> str:
        return found[2] or arguments.get(found[1] or found[3], found[0])

    for one in _FROM.findall(text):
        yield "image", _VARIABLE.sub(default, one)
    for kind, one in _IMAGE.findall(text):
        yield kind, _VARIABLE.sub(default, one)


def _images_with_tags(text: str) -> Iterator[str]:
    """Yield the images of a text without comments, except names whose tag is not known."""
    pairs = [*_NAME_AND_TAG.findall(text), *_names_and_tags(text.splitlines())]
    tagged = [f"{name}:{tag}" for name, tag in pairs]
    names = {one.rpartition(":")[0] for one in tagged}
    yield from tagged
    yield from (one for kind, one in _images(text) if kind == "image" and one not in names)


def _names_and_tags(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and tag of each image that two lines of one mapping give."""
    for number, line in enumerate(lines):
        name = _NAME_LINE.fullmatch(line)
        if name is None:
            continue
        for following in lines[number + 1 : number + 1 + _MAX_LINES_BETWEEN]:
            indent = len(following) - len(following.lstrip())
            tag = _TAG_LINE.fullmatch(following)
            if tag is not None and indent == len(name[1]):
                yield name[2], tag[2]
            if following.strip() and (tag is not None or indent < len(name[1])):
                break


def _versions_of(images: Iterable[str]) -> Iterator[tuple[str, Version | None]]:
    """Yield the dialect and version of each image of a known program."""
    for image in images:
        found = _TAGGED.match(image)
        program = _PROGRAMS.get(found["name"].rpartition("/")[2].lower()) if found else None
        if found is not None and program is not None:
            tag = (found["tag"] or "").removeprefix("distroless-")
            yield program, Version.parse(tag) if _NUMBERED.match(tag) else None


def versions_in(text: str) -> Iterator[tuple[str, Version | None]]:
    """Yield the dialect and version of each program whose image a text refers to.

    The version is ``None`` if the tag is not a version number, such as ``alpine``.
    """
    return _versions_of(_images_with_tags(_COMMENT.sub("", text)))


def heartbeat_in(text: str) -> float | None:
    """Return the longest heartbeat interval that flags in a text set, in seconds.

    Comments are ignored. A flag and its value may be two items of a YAML list.
    """
    if "--sse-" not in text and "sse_keepalive" not in text:
        return None
    joined = _LIST_ITEM.sub(" ", _COMMENT.sub("", text))
    return max(map(float, _HEARTBEAT.findall(joined)), default=None)


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

    If a program occurs with two versions, or also with a tag that is not a version number, its
    version is not known.

    Args:
        manifests: files with resources of Kubernetes.
    """
    files, manifests = tuple(files), tuple(manifests)
    services: dict[str, ServiceWitness] = {}
    published: dict[int, ServiceWitness] = {}
    programs: list[str] = []
    gunicorn: dict[str, Mapping[str, str]] = {}
    for path, text in files:
        name = path.replace("\\", "/").rpartition("/")[2]
        if "gunicorn" in name and path.endswith(".py"):
            gunicorn[name] = gunicorn_settings(text)
        elif path.endswith(".py"):
            programs += [path] if _STREAMS.search(text) else []
        for names, ports, witness in _services(path, text):
            for name in names:
                services.setdefault(name.lower(), witness)
            for port in ports:
                published.setdefault(port, witness)
    texts = [text for path, text in (*files, *manifests) if not path.endswith(".py")]
    intervals = [one for text in texts if (one := heartbeat_in(text)) is not None]
    return Neighbours(
        services,
        published,
        _known_versions(texts),
        max(intervals, default=None),
        manifests,
        tuple(programs),
        gunicorn,
    )


def _known_versions(texts: Iterable[str]) -> dict[str, Version]:
    """Return the version of each program and framework for which the texts give only one."""
    versions: dict[str, set[Version | None]] = {}
    for text in texts:
        for name, version in (*versions_in(text), *pinned_versions(text)):
            versions.setdefault(name, set()).add(version)
    return {
        name: version
        for name, found in versions.items()
        if len(found) == 1 and (version := next(iter(found))) is not None
    }


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
            witness = ServiceWitness(name, path, image, profile, _heartbeat_of(node))
            yield [name, *filter(None, aliases)], _published(node.get("ports")), witness


def _heartbeat_of(service: Node) -> float | None:
    """Return the interval that the command of a service sets; ``None`` if it has no command."""
    parts = [one for key in ("entrypoint", "command") if (one := service.get(key)) is not None]
    if not parts:
        return None
    words = [word for part in parts for word in (part, *items_of(part)) if word.kind == "scalar"]
    return heartbeat_in(" ".join(word.text for word in words)) or 0.0


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
