"""Validation rules for entries, which are applied by the tests rather than on import."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

from undam.intermediaries.claims import Aspect, Behaviour, Claim, Limit, Remedy, Sign
from undam.intermediaries.intermediary import Intermediary, Kind
from undam.versions import Version

CONDITIONS = frozenset({"configuration", "endpoint", "http_version", "plan", "platform"})
"""Allowed kinds of conditions besides the version.

``configuration`` is a setting that a user chose; the others are alternatives of one service.
"""

_MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
_NAME = re.compile(r"[a-z0-9]{1,40}(-[a-z0-9]{1,40}){0,6}")
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\}")
_MAX_FIX_CHARS = 100


def problems_of(known: Intermediary) -> list[str]:
    """Return all violations as ``FILE: KEY: PROBLEM``; the list is empty for a valid entry."""
    file = f"entries/{known.name.replace('-', '_')}.py"
    problems = [f"{file}: {key}: {what}" for key, what in _entry_problems(known)]
    for index, claim in enumerate(known.claims):
        key = f"claims[{index}] ({claim.about})"
        problems += [f"{file}: {key}.{part}: {what}" for part, what in _claim_problems(claim)]
    return problems


def _entry_problems(known: Intermediary) -> Iterator[tuple[str, str]]:
    if not _NAME.fullmatch(known.name):
        yield "name", f"{known.name!r} is not lower-case words joined by hyphens"
    if not known.title:
        yield "title", "is empty"
    if known.kind not in get_args(Kind):
        yield "kind", f"{known.kind!r} is not one of {', '.join(get_args(Kind))}"
    if not any(isinstance(claim, Behaviour | Limit) for claim in known.claims):
        yield "claims", "no behaviour and no limit"
    if known.built_on == known.name:
        yield "built_on", "names the entry itself"
    if known.note and not known.note.endswith("."):
        yield "note", "is not a sentence"


def _claim_problems(claim: Claim) -> Iterator[tuple[str, str]]:
    yield from _evidence_problems(claim)
    since, until = Version.parse(claim.since), Version.parse(claim.until)
    for key, text, version in (("since", claim.since, since), ("until", claim.until, until)):
        if text and str(version) != text:
            yield key, f"{text!r} is not a version"
    if since is not None and until is not None and until <= since:
        yield "until", f"{claim.until} is not after {claim.since}"
    for key, value in claim.conditions.items():
        if key not in CONDITIONS or not value:
            yield "conditions", f"{key}={value!r}; known: {', '.join(sorted(CONDITIONS))}"
    if isinstance(claim, Sign):
        yield from _sign_problems(claim)
    elif isinstance(claim, Remedy):
        yield from _remedy_problems(claim)
    else:
        assert isinstance(claim, Behaviour | Limit)
        yield from _text_problems(claim)


def _evidence_problems(claim: Claim) -> Iterator[tuple[str, str]]:
    evidence = claim.evidence
    if not _MONTH.fullmatch(evidence.checked):
        yield "checked", f"{evidence.checked!r} is not a month such as 2026-11"
    if not evidence.source:
        yield "source", "is empty"
    if evidence.kind == "measured" and not (evidence.version and evidence.command):
        yield "evidence", "a measurement needs the version and the command"


def _sign_problems(sign: Sign) -> Iterator[tuple[str, str]]:
    if not sign.header or sign.header != sign.header.lower():
        yield "header", f"{sign.header!r} is not in lower case"
    if _UNBOUNDED.search(sign.pattern):
        yield "pattern", f"/{sign.pattern}/ repeats without a bound"
    try:
        re.compile(sign.pattern)
    except re.error as error:
        yield "pattern", f"/{sign.pattern}/: {error}"


def _remedy_problems(remedy: Remedy) -> Iterator[tuple[str, str]]:
    if not remedy.where:
        yield "where", "is empty"
    if not remedy.text or remedy.text != remedy.text.strip() or not remedy.text.isascii():
        yield "text", "must be ASCII text without space around it"
    if any(not 0 < len(line) <= _MAX_FIX_CHARS for line in remedy.text.split("\n")):
        yield "text", f"a line is empty or longer than {_MAX_FIX_CHARS} characters"


def _text_problems(claim: Behaviour | Limit) -> Iterator[tuple[str, str]]:
    if not claim.text.endswith("."):
        yield "text", f"{claim.text[:40]!r} is not a sentence"
    limits = {Aspect.CUTS_IDLE, Aspect.CUTS_TOTAL}
    if isinstance(claim, Limit) != (claim.aspect in limits):
        yield "aspect", f"{claim.aspect} does not fit {type(claim).__name__}"
    if isinstance(claim, Limit) and claim.seconds is not None and claim.seconds <= 0:
        yield "seconds", f"{claim.seconds} is not positive"
