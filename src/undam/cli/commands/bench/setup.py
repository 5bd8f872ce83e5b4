"""What is the same in every run of one `undam bench`: whom to ask, what, and with which secrets."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import undam
from undam.apis import PLAIN, Api
from undam.cli.commands.bench.arguments import Step
from undam.cli.commands.check.arguments import options_from
from undam.errors import UsageError
from undam.host import host_name
from undam.loadtest.coordinator.split import JobTemplate, encode_requests, tls_for
from undam.loadtest.setup.plan import Load
from undam.loadtest.setup.prompts import Prompt, request_bodies
from undam.loadtest.setup.synthetic_prompts import make_prompts
from undam.loadtest.setup.target import raise_file_limit, resolve_reachable
from undam.probe import DEFAULT_PROMPT, CheckOptions
from undam.probe.models import first_model
from undam.probe.options import api_of, request_for
from undam.probe.secrecy import clean_text
from undam.record import redact_url
from undam.timing.distribution import parse_distribution
from undam.wire import Target, parse_url

# What an option of `undam check` would be here.
_FIXED = {
    "hops": (), "streams": 1, "beacon": False, "idle": None, "cancel": False, "proxy": None,
    "prompt": DEFAULT_PROMPT,
}  # fmt: skip
_MODEL = "default"


@dataclass(frozen=True, slots=True)
class BenchSetup:
    """One test's constant part.

    Args:
        options: as `undam check` would ask the same endpoint; they hold the secrets.
        model: that is asked for; "" where the URL is fetched as given or ``--data`` says it.
        prompts: how many different ones there are; 0 where none is sent.
    """

    options: CheckOptions
    template: JobTemplate
    model: str
    prompts: int

    @property
    def url(self) -> str:
        """The URL without secrets."""
        return self.clean(redact_url(self.options.edge.url))

    def clean(self, text: str) -> str:
        """``text`` without any secret."""
        return clean_text(text, self.options.secrets)

    def about(self, load: Mapping[str, object]) -> dict[str, object]:
        """The conditions, for a record or a page."""
        return {
            "command": "bench",
            "undam": undam.__version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "host": host_name(),
            "url": self.url,
            "api": self.template.api,
            "model": self.clean(self.model),
            "prompts": self.prompts,
            "timeout_s": self.template.timeout_s,
            **load,
        }


def check_options(url: str, given: Mapping[str, object]) -> CheckOptions:
    """The command line as options of a check of the same endpoint.

    Raises:
        UsageError: a value that makes no sense; no secret is repeated.
    """
    if urlsplit(url).path.rstrip("/").rpartition("/")[2] in {"", "v1"}:
        from undam.client.call import endpoint  # noqa: PLC0415 (slow, and mostly not needed)

        url = endpoint(url)
    return options_from(url, {**given, **_FIXED})


def setup_from(
    options: CheckOptions,
    given: Mapping[str, object],
    prompts: Sequence[Prompt] | None,
    steps: Sequence[Step],
) -> BenchSetup:
    """Look whether the endpoint is there, and make the requests.

    Raises:
        NetworkError: nobody listens there.
        UsageError: options that do not fit its API.
    """
    api, target = api_of(options.edge), parse_url(options.edge.url)
    _require_fitting(api, given)
    raise_file_limit(max(_connections(step.load, int(str(given["workers"]))) for step in steps))
    made = _prompts(api, options, given, prompts, steps)
    addresses, listed = asyncio.run(_ask(options, target))
    model = options.model or listed or _MODEL
    limit = given["max_tokens"]
    bodies = request_bodies(
        api, made, model=model, max_tokens=None if limit is None else int(str(limit))
    )
    request = request_for(options, options.edge, model=model)
    path = given["content_path"]
    template = JobTemplate(
        addresses=addresses,
        requests=encode_requests(request, target, bodies),
        api=api.name,
        timeout_s=options.client.timeout_s,
        content_path=None if path is None else str(path),
        tls=tls_for(target, options.client),
    )
    return BenchSetup(options, template, model if made else "", len(made))


async def _ask(
    options: CheckOptions, target: Target
) -> tuple[tuple[tuple[int, tuple[object, ...]], ...], str | None]:
    """The addresses and the first model; a refusal of the first is told before the second asks."""
    addresses = await resolve_reachable(target, options.client)
    return addresses, await first_model(options)


def _require_fitting(api: Api, given: Mapping[str, object]) -> None:
    if api is not PLAIN and given["content_path"] is not None:
        raise UsageError(f"--content-path: this URL's API ({api.name}) says where the text is")
    if api is PLAIN:
        for name in ("prompts", "prompt_words", "max_tokens"):
            if given[name] is not None:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"{option}: this URL belongs to no known API, so it is fetched as given; its "
                    f"body is --data"
                )


def _prompts(
    api: Api,
    options: CheckOptions,
    given: Mapping[str, object],
    prompts: Sequence[Prompt] | None,
    steps: Sequence[Step],
) -> Sequence[Prompt]:
    if api.request is None or options.data is not None:
        return ()
    if prompts is not None:
        return prompts
    words = given["prompt_words"]
    length = None if words is None else parse_distribution(str(words))
    totals = [step.load.total for step in steps]
    most = max(total or 1 << 30 for total in totals)
    return [Prompt(text) for text in make_prompts(most, length, int(str(given["seed"])))]


def _connections(load: Load, workers: int) -> int:
    """How many one worker certainly has open at once; of an open loop nobody knows."""
    return -(-(load.concurrency or 1) // workers)


def load_about(load: Load, workers: int) -> Mapping[str, object]:
    """The load in words and figures, for JSON and the record."""
    return {
        "load": load_text(load),
        "workers": workers,
        "concurrency": load.concurrency,
        "rate": load.rate,
        "arrivals": load.arrivals if load.is_open else None,
        "seed": load.seed,
    }


def load_text(load: Load) -> str:
    """A load in a few words, as "closed loop of 10" or "open loop, 20/s (poisson)"."""
    if load.concurrency is not None:
        return f"closed loop of {load.concurrency}"
    if load.trace_ns:
        return f"replay of {len(load.trace_ns)} requests"
    return f"open loop, {load.rate:g}/s ({load.arrivals})"
