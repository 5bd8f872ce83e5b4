"""Synthetic prompts made of common words, from a seed. No file, network or tokenizer is used."""

from __future__ import annotations

import random

from undam.loadtest.setup.unique import PLACEHOLDER
from undam.timing.distribution import Distribution, parse_distribution

DEFAULT_LENGTH = parse_distribution("lognormal(60,1)")
"""Default number of words per prompt: half of the prompts are short questions, 5 % are long."""

_MIN_WORDS, _MAX_WORDS = 3, 200_000

# These limits keep the time for generating prompts, before the first request, below 0.1 s.
_MAX_PROMPTS = 512
_MAX_TOTAL_WORDS = 200_000

_TASKS = (
    "Summarise the following notes in five sentences:",
    "Explain to a new colleague what is meant here:",
    "Continue this text in the same tone:",
    "List the open questions in what follows:",
    "Rewrite this as a friendly letter:",
    "Translate into French and keep the order:",
    "Write a short function that follows this description:",
    "Answer step by step, and say what is unclear:",
)

_VOCABULARY = """
    the of and to in is that it was for on are as with they be at one have this from by not but
    some what there we can out other were all your when up use word how said an each she which do
    their time if will way about many then them would like so these her long make thing see him two
    has look more day could go come did number sound no most people my over know water than call
    first who may down side been now find any new work part take get place made live where after
    back little only round man year came show every good give our under name very through just form
    great think help low line before turn cause same mean differ move right boy old too does tell
    sentence set three want air well also play small end put home read hand port large spell add
    even land here must big high such follow act why ask men change went light kind off need house
    picture try again animal point mother world near build self earth father head stand own page
    should country found answer school grow study still learn plant cover food sun four thought let
    keep eye never last door between city tree cross since hard start might story saw far sea draw
    left late run while press close night real life few stop open seem together next white children
    begin got walk example ease paper often always music those both mark book letter until mile
    river car feet care second group carry took rain eat room friend began idea fish mountain north
    once base hear horse cut sure watch color face wood main enough plain girl usual young ready
    above ever red list though feel talk bird soon body dog family direct pose leave song measure
    state product black short numeral class wind question happen complete ship area half rock order
    fire south problem piece told knew pass farm top whole king size heard best hour better
"""
_WORDS = tuple(_VOCABULARY.split())


def make_prompts(
    count: int, length: Distribution | None, seed: int, prefix_share: float = 0.0
) -> list[str]:
    """Return ``count`` different prompts, or fewer if generating them would take too long.

    Each prompt contains the placeholder of `unique`, so that each request gets a prompt of its
    own. The placeholder comes first, or after the words that all prompts have in common.

    Args:
        length: number of words per prompt, including the task; ``None`` means the default.
        prefix_share: share of the words of each prompt that all prompts have in common, from the
            beginning; with 1, prompts have no placeholder.
    """
    rng = random.Random(f"prompts {seed}")  # noqa: S311 (prompts, not secrets)
    shared = _SharedPrefix(seed)
    prompts: list[str] = []
    words_left = _MAX_TOTAL_WORDS
    while len(prompts) < min(count, _MAX_PROMPTS) and (words_left > 0 or not prompts):
        words = min(max(round((length or DEFAULT_LENGTH).sample(rng)), _MIN_WORDS), _MAX_WORDS)
        common = shared.words(round(prefix_share * words))
        prompts.append(" ".join([*common, *_own_words(rng, words - len(common))]))
        words_left -= words
    return prompts


class _SharedPrefix:
    """Words that all prompts have in common, generated on demand."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"prefix {seed}")  # noqa: S311 (prompts, not secrets)
        self._words: list[str] = []

    def words(self, count: int) -> list[str]:
        missing = count - len(self._words)
        if missing > 0:
            self._words += self._rng.choices(_WORDS, k=missing)
        return self._words[:count]


def random_words(rng: random.Random, count: int) -> list[str]:
    """Return ``count`` common words."""
    return rng.choices(_WORDS, k=max(0, count))


def _own_words(rng: random.Random, words: int) -> list[str]:
    task = rng.choice(_TASKS).split()
    rest = rng.choices(_WORDS, k=max(0, words - 1 - len(task)))
    return [PLACEHOLDER, *task, *rest][:words]
