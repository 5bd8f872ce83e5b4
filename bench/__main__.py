"""Run all benchmarks, or only those named on the command line: ``python -m bench [NAME …]``."""

from __future__ import annotations

import importlib
import sys

MODULES = (
    "sse_parser",
    "simulator_schedule",
    "arrival_stamps",
    "client_reading",
    "load_accuracy",
    "load_ceiling",
    "load_http2",
    "load_peers",
    "asgi_streams",
    "lint_tree",
    "tap_cost",
    "gateway_hedging",
    "gateway_affinity",
    "gateway_large_body",
    "gateway_proxies",
    "gateway_soak",
    "monitor_cost",
    "monitor_changes",
)
"""Each module has a docstring whose first line is its title, and ``run() -> list[str]``."""


def main(names: list[str]) -> int:
    """Run the benchmarks; return 0, or 2 if a benchmark could not be run."""
    unknown = [name for name in names if name not in MODULES]
    if unknown:
        print(f"bench: unknown benchmark {', '.join(unknown)}; use one of {', '.join(MODULES)}",
              file=sys.stderr)  # fmt: skip
        return 2
    code = 0
    for name in names or MODULES:
        try:
            module = importlib.import_module(f"bench.{name}")
        except ModuleNotFoundError as error:
            print(f"bench: cannot run {name}: the module {error.name!r} is not installed"
                  " (install the peers with: make bench)", file=sys.stderr)  # fmt: skip
            code = 2
            continue
        title = (module.__doc__ or name).splitlines()[0]
        print(f"{name}: {title}", flush=True)
        for line in module.run():
            print(f"  {line}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
