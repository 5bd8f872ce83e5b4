"""Mutation fuzzer: damages copies of valid inputs until a target fails or the time limit ends."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from support.fuzz_targets import FuzzTarget

# Tokens that have a special meaning in at least one of the fuzzed formats.
_TOKENS = (
    b"\r\n", b"\n\n", b"\r", b"\0", b"data: ", b"event: ", b":", b"{", b"}", b"[", b"]", b'"',
    b"\\",
    b",", b"\x1e", b"--b", b"0\r\n\r\n", b"ffffffff", b"-1", b"1e999", b"NaN", b"9" * 400, b"\xff",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"${", b"{{", b"include ", b";", b"#", b"\t", b"&a", b"*a",
)  # fmt: skip
_MAX_BYTES = 1 << 16
_MAX_CHANGES = 8
# Limit on CPU time per input of at most 64 KB, in seconds. Quadratic work takes much longer.
SLOW_S = 5.0


@dataclass(frozen=True)
class Crash:
    """Input on which a target failed."""

    target: str
    data: bytes
    reason: str


def run_input(target: FuzzTarget, data: bytes) -> Crash | None:
    """Run a target on one input, and return the crash if it fails."""
    begun = time.process_time()
    try:
        target.run(data)
    except target.allowed:
        pass
    except Exception as error:
        return Crash(target.name, data, f"{type(error).__name__}: {error}"[:300])
    took = time.process_time() - begun
    return Crash(target.name, data, f"took {took:.1f} s") if took > SLOW_S else None


def fuzz(targets: Sequence[FuzzTarget], seconds: float, seed: int) -> tuple[int, list[Crash]]:
    """Run the targets in turn; return the number of inputs, and at most one crash per target."""
    random_ = random.Random(seed)
    until = time.monotonic() + seconds
    pools = {target.name: list(target.seeds) for target in targets}
    crashes: dict[str, Crash] = {}
    count = 0
    while time.monotonic() < until:
        target = targets[count % len(targets)]
        count += 1
        if target.name in crashes:
            continue
        data = mutated(random_, pools[target.name])
        crash = run_input(target, data)
        if crash is not None:
            crashes[target.name] = crash
    return count, list(crashes.values())


def mutated(random_: random.Random, pool: Sequence[bytes]) -> bytes:
    """Return a randomly damaged copy of one of the inputs."""
    data = bytearray(random_.choice(pool))
    for _ in range(random_.randint(1, _MAX_CHANGES)):
        at = random_.randint(0, len(data))
        end = min(len(data), at + int(random_.random() ** 4 * (len(data) + 1)) + 1)
        match random_.randrange(7):
            case 0 if data:
                data[min(at, len(data) - 1)] ^= 1 << random_.randrange(8)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end]
            case 3:
                data[at:at] = random_.choice(_TOKENS)
            case 4:
                data[at:end] = random_.randbytes(random_.randint(0, 8))
            case 5:
                other = random_.choice(pool)
                cut = random_.randint(0, len(other))
                data[at:] = other[cut:]
            case _:
                data[at:at] = random_.choice(_TOKENS) * random_.choice((2, 50, 2000))
    return bytes(data[:_MAX_BYTES])
