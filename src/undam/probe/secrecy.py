"""Redaction of a request's secrets in findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from undam.intermediaries import Suspect
from undam.rules import Finding
from undam.secrecy import clean_error, clean_text, names_secret, redact_value, secrets_in

__all__ = ["clean_error", "clean_finding", "clean_text", "names_secret", "secrets_in"]


def clean_finding(found: Finding, secrets: Sequence[str]) -> Finding:
    """Return the finding with secrets in its message and evidence redacted."""
    hidden = tuple(secrets)
    evidence = {name: redact_value(value, hidden) for name, value in found.evidence.items()}
    return replace(found, message=clean_text(found.message, hidden), evidence=evidence)


def clean_suspects(
    suspects: Mapping[str, tuple[Suspect, ...]], secrets: Sequence[str]
) -> dict[str, tuple[Suspect, ...]]:
    """Return the suspects with secrets redacted in their evidence, which quotes the response."""
    return {
        hop: tuple(
            replace(one, evidence=tuple(clean_text(text, secrets) for text in one.evidence))
            for one in some
        )
        for hop, some in suspects.items()
    }
