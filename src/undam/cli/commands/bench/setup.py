"""Setup of a load test: the target, the requests and the secrets that all its runs share."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import urlsplit

import undam
from undam.apis import PLAIN, Api
from undam.cli.commands.bench.arguments import (
    Step,
    make_cancels_ns,
    make_pauses_ns,
    parse_body,
    parse_models,
)
from undam.cli.commands.bench.options import BenchOptions
from undam.cli.commands.check.arguments import options_from
from undam.errors import UsageError
from undam.host import host_name
from undam.loadtest.coordinator.split import (
    JobTarget,
    JobTemplate,
    encode_requests,
    http2_settings,
    tls_for,
)
from undam.loadtest.setup.documents import asks_for_document, document_api
from undam.loadtest.setup.plan import Load
from undam.loadtest.setup.prompts import Prompt, request_bodies, sessions_in
from undam.loadtest.setup.synthetic_prompts import make_prompts
from undam.loadtest.setup.target import ReachableTarget, ensure_file_limit, resolve_reachable
from undam.probe import DEFAULT_PROMPT, CheckOptions
from undam.probe.models import first_model
from undam.probe.options import api_of, request_for
from undam.probe.secrecy import clean_text
from undam.record import redact_url
from undam.timing.distribution import parse_distribution
from undam.wire import Request, Target, parse_url

# Fields of `BenchOptions` that are also options of `undam check`.
_SHARED_OPTIONS = (
    "model", "headers", "data", "method", "timeout", "http_version", "cacert", "cert", "resolve",
    "insecure",
)  # fmt: skip
# Options that exist only in `undam check`.
_CHECK_DEFAULTS = {
    "hops": (), "streams": 1, "beacon": False, "idle": None, "cancel": False, "proxy": None,
    "prompt": DEFAULT_PROMPT,
}  # fmt: skip
_DEFAULT_MODEL = "default"
# RFC 9113, section 6.5.2, recommends that servers allow at least 100 concurrent streams.
_DEFAULT_STREAMS = 100


@dataclass(frozen=True, slots=True)
class BenchSetup:
    """Target, requests and secrets that all runs of a load test share.

    Args:
        options: options of an `undam check` of the same endpoint; they contain the secrets.
        model: the model in the requests; "" if the requests do not come from prompts.
        prompts: number of different request bodies before they are made unique.
        unique_prompts: whether each request has a prompt of its own.
        has_history: whether requests repeat earlier turns of their conversation.
        prefix_share: share of each generated prompt that all prompts have in common.
        others: the same as ``options`` for each further URL.
    """

    options: CheckOptions
    template: JobTemplate
    model: str
    prompts: int
    unique_prompts: bool = False
    prefix_share: float = 0.0
    has_history: bool = False
    others: tuple[CheckOptions, ...] = ()

    @property
    def url(self) -> str:
        """URL without secrets; several URLs are separated by spaces."""
        return " ".join(self.urls)

    @property
    def urls(self) -> list[str]:
        """URLs without secrets."""
        return [self.clean(redact_url(one.edge.url)) for one in (self.options, *self.others)]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets in the options of all URLs."""
        return tuple(secret for one in (self.options, *self.others) for secret in one.secrets)

    def clean(self, text: str) -> str:
        """Return ``text`` without secrets."""
        return clean_text(text, self.secrets)

    def about(self, load: Mapping[str, object]) -> dict[str, object]:
        """Return the test conditions, for JSON, the record and the HTML page."""
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
            "unique_prompts": self.unique_prompts,
            "prefix_share": self.prefix_share,
            "has_history": self.has_history,
            "streams": self.template.streams,
            "has_pauses": bool(self.template.pauses_ns),
            "timeout_s": self.template.timeout_s,
            "http_version": "1.1" if self.template.http2 is None else "2",
            "streams_per_connection": None
            if self.template.http2 is None
            else self.template.http2.streams,
            **load,
        }


def check_options(url: str, options: BenchOptions) -> CheckOptions:
    """Return the `undam check` options for the same endpoint.

    Raises:
        UsageError: a value is invalid. The message does not contain secrets.
    """
    if urlsplit(url).path.rstrip("/").rpartition("/")[2] in {"", "v1"}:
        from undam.client.chat_request import endpoint  # noqa: PLC0415 (slow and rare)

        url = endpoint(url)
    shared = {name: getattr(options, name) for name in _SHARED_OPTIONS}
    return options_from(url, {**_CHECK_DEFAULTS, **shared})


def prepare(
    endpoint: CheckOptions,
    options: BenchOptions,
    prompts: Sequence[Prompt] | None,
    steps: Sequence[Step],
    others: Sequence[CheckOptions] = (),
) -> BenchSetup:
    """Check that the endpoints are reachable, and build the requests.

    Args:
        others: the same as ``endpoint`` for each further URL.

    Raises:
        NetworkError: an endpoint does not accept connections.
        UsageError: the options do not fit the endpoint's API, or the URLs belong to several APIs.
    """
    api, streams = _api_and_form(endpoint, options)
    _require_fitting(api, options)
    if any(_api_and_form(other, options)[0] is not api for other in others):
        raise UsageError("all URLs must belong to the same API")
    used = _choose_prompts(api, endpoint, options, prompts, steps)
    first, *more = [
        _make_target(one, options, api, used, streams=streams) for one in (endpoint, *others)
    ]
    slots = max(_slots(step.load, options.workers) for step in steps)
    ensure_file_limit(max(-(-slots // one.streams_per_connection) for one in (first, *more)))
    template = JobTemplate(
        addresses=first.job.addresses,
        requests=first.job.requests,
        api=api.name,
        timeout_s=endpoint.client.timeout_s,
        content_path=options.content_path,
        tls=first.job.tls,
        http2=first.job.http2,
        cancel_ns=make_cancels_ns(options),
        streams=streams,
        sessions=sessions_in(used),
        pauses_ns=make_pauses_ns(options),
        more_targets=tuple(one.job for one in more),
    )
    share = options.prefix_share or 0.0
    return BenchSetup(
        options=endpoint,
        template=template,
        model=(options.models or first.model) if used else "",
        prompts=len(used) or int(api is not PLAIN and endpoint.data is not None),
        unique_prompts=bool(used) and prompts is None and share < 1,
        has_history=any(prompt.session is not None for prompt in used),
        prefix_share=share,
        others=tuple(others),
    )


def _api_and_form(endpoint: CheckOptions, options: BenchOptions) -> tuple[Api, bool]:
    """Return the API of an endpoint, and whether its responses are streams."""
    api = document_api(urlsplit(endpoint.edge.url).path)
    if api is not None:
        return api, False
    is_document = options.no_stream or (
        endpoint.data is not None and asks_for_document(endpoint.data)
    )
    return api_of(endpoint.edge), not is_document


class _EncodedTarget(NamedTuple):
    job: JobTarget
    model: str

    @property
    def streams_per_connection(self) -> int:
        return 1 if self.job.http2 is None else self.job.http2.streams


def _make_target(
    endpoint: CheckOptions,
    options: BenchOptions,
    api: Api,
    used: Sequence[Prompt],
    *,
    streams: bool,
) -> _EncodedTarget:
    """Check that one URL is reachable, and encode its requests."""
    target = parse_url(endpoint.edge.url)
    reachable, listed = asyncio.run(_resolve(endpoint, target))
    model = endpoint.model or listed or _DEFAULT_MODEL
    models = [model] if options.models is None else parse_models(options, len(used))
    bodies = request_bodies(
        api, used, models=models, max_tokens=options.max_tokens, fields=parse_body(options),
        streams=streams,
    )  # fmt: skip
    request = request_for(endpoint, endpoint.edge, model=model)
    if not streams:
        request = _for_document(request, endpoint)
    is_http2 = reachable.http_version == "2"
    job = JobTarget(
        addresses=reachable.addresses,
        requests=tuple(bodies or [request.body])
        if is_http2
        else encode_requests(request, target, bodies),
        tls=tls_for(target, endpoint.client),
        http2=http2_settings(request, target, options.streams_per_connection or _DEFAULT_STREAMS)
        if is_http2
        else None,
    )
    return _EncodedTarget(job, model)


def _for_document(request: Request, endpoint: CheckOptions) -> Request:
    """Return the request with JSON headers, and as POST; the user's own choices are kept."""
    own = {name.lower() for name, _ in endpoint.edge.headers}
    headers = [
        (name, value)
        for name, value in request.headers
        if name.lower() not in {"accept", "content-type"} or name.lower() in own
    ]
    added = {"Accept": "application/json", "Content-Type": "application/json"}
    headers += [(name, value) for name, value in added.items() if name.lower() not in own]
    return replace(request, headers=tuple(headers), method=endpoint.method or "POST")


async def _resolve(endpoint: CheckOptions, target: Target) -> tuple[ReachableTarget, str | None]:
    """Connect to the target, and return it with the first model that it lists.

    The connection check comes first, because its error is the clearer one.
    """
    reachable = await resolve_reachable(target, endpoint.client)
    return reachable, await first_model(endpoint)


def _require_fitting(api: Api, options: BenchOptions) -> None:
    if api is not PLAIN and options.content_path is not None:
        raise UsageError(
            f"--content-path is only for unknown APIs; the API of this URL is {api.name}"
        )
    if api is PLAIN:
        for name in ("prompts", "prompt_words", "max_tokens", "prefix_share", "body", "models"):
            if options.is_set(name):
                raise UsageError(
                    f"--{name.replace('_', '-')}: this URL belongs to no known API and is fetched "
                    f"as given; set its body with --data"
                )


def _choose_prompts(
    api: Api,
    endpoint: CheckOptions,
    options: BenchOptions,
    prompts: Sequence[Prompt] | None,
    steps: Sequence[Step],
) -> Sequence[Prompt]:
    """Return the prompts from the file, or synthetic ones; none if the user gave the body."""
    if api.request is None or endpoint.data is not None:
        return ()
    if prompts is not None:
        return prompts
    words = options.prompt_words
    length = None if words is None else parse_distribution(words)
    count = max(step.load.total or 1 << 30 for step in steps)
    share = options.prefix_share or 0.0
    return [Prompt(text) for text in make_prompts(count, length, options.seed, share)]


def _slots(load: Load, workers: int) -> int:
    """Return the maximum number of slots per worker; 1 if no concurrency is set."""
    return -(-(load.concurrency or 1) // workers)


def load_about(load: Load, workers: int) -> Mapping[str, object]:
    """Return the load as JSON data, for the JSON result and the record."""
    return {
        "load": load_text(load),
        "workers": workers,
        "concurrency": load.concurrency,
        "rate": load.rate,
        "concurrency_limit": load.max_concurrency,
        "arrivals": load.arrivals if load.is_open else None,
        "seed": load.seed,
    }


def load_text(load: Load) -> str:
    """Describe a load: "closed loop of 10" or "open loop, 20/s (poisson)"."""
    if load.concurrency is not None:
        return f"closed loop of {load.concurrency}"
    if load.trace_ns:
        return f"replay of {len(load.trace_ns)} requests"
    rate = f"{load.rate:g}/s" + (f" to {load.rate_end:g}/s" if load.rate_end else "")
    most = f", at most {load.max_concurrency} in flight" if load.max_concurrency else ""
    return f"open loop, {rate} ({load.arrivals}){most}"
