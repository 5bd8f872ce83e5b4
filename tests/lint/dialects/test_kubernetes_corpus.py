"""Corpus for the Kubernetes dialects: files modeled on real charts and manifests.

The files `bad-*` have exactly the listed findings; the files `still-*` have none.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.dialect_harness import with_heartbeats
from support.mutations import robustness_faults
from undam.lint import Source, dialect_named, fix_source, lint_source, recognise_dialect
from undam.rules import Severity
from undam.textfiles.templates import has_placeholders, template_source

CORPUS = Path(__file__).parents[1] / "corpus"
FOLDERS = ("gateway_api", "istio", "traefik_crd", "kubernetes_ingress", "kserve")
CASES = [file for folder in FOLDERS for file in sorted((CORPUS / folder).glob("*"))]
FAULTS = {
    "gateway_api/bad-ai-gateway": ["GWA401 11 error"],
    "gateway_api/bad-envoy-gateway-default": ["GWA401 19 error"],
    "gateway_api/bad-gke-and-nginx": ["GWA401 13 error"],
    "gateway_api/bad-policies": [
        "GWA403 9 warning", "GWA404 10 warning", "GWA403 18 error", "GWA403 34 warning",
        "GWA403 44 warning", "GWA404 45 error",
    ],
    "istio/bad-destination": ["IST403 8 info"],
    "istio/bad-ext-proc": ["IST101 13 error", "IST101 22 error"],
    "istio/bad-lua-filter": ["IST101 15 error", "IST404 26 warning", "IST404 28 warning"],
    "istio/bad-virtual-service": ["IST401 15 warning", "IST402 16 warning"],
    "traefik_crd/bad-chain": ["TRK101 16 error"],
    "traefik_crd/bad-entry-point": ["TRK401 10 warning"],
    "traefik_crd/bad-ingress-annotation": ["TRK201 19 warning", "TRK102 24 info"],
    "traefik_crd/bad-transport": ["TRK402 4 warning"],
    "kubernetes_ingress/bad-alb": ["KIN401 7 warning"],
    "kubernetes_ingress/bad-contour": ["KIN403 8 warning", "KIN401 8 warning", "KIN404 10 error"],
    "kubernetes_ingress/bad-gateways": [
        "KIN101 7 warning", "KIN401 7 warning", "KIN401 19 warning", "KIN401 26 warning",
        "KIN401 31 warning",
    ],
    "kubernetes_ingress/bad-kong": ["KIN401 5 warning", "KIN101 7 warning"],
    "kubernetes_ingress/bad-openshift": ["KIN401 6 warning"],
    "kserve/bad-huggingface": ["KSV401 8 warning"],
    "kserve/bad-knative": ["KSV401 7 error", "KSV403 8 warning", "KSV404 9 warning"],
    "kserve/bad-unknown-mode": ["KSV402 3 info"],
    "kserve/bad-vllm-container": ["KSV402 4 warning"],
}  # fmt: skip


def source_of(file: Path) -> Source:
    text = file.read_text("utf-8")
    return template_source(file.name, text) if has_placeholders(text) else Source(file.name, text)


def reported(file: Path) -> list[str]:
    dialect = dialect_named(file.parent.name.replace("_", "-"))
    found = lint_source(dialect, source_of(file), with_heartbeats()).diagnostics
    return [f"{one.rule.code} {one.line} {one.severity}" for one in found]


def test_each_dialect_has_four_faulty_and_four_healthy_files() -> None:
    for folder in FOLDERS:
        names = [file.name for file in CASES if file.parent.name == folder]
        assert sum(name.startswith("bad-") for name in names) >= 4, folder
        assert sum(name.startswith("still-") for name in names) >= 4, folder


def test_every_file_has_the_expected_findings_and_is_recognised() -> None:
    found = {f"{file.parent.name}/{file.stem}": reported(file) for file in CASES}
    assert {name: faults for name, faults in found.items() if faults} == FAULTS
    for file in CASES:
        first = recognise_dialect(file.name, source_of(file).text)
        assert first is dialect_named(file.parent.name.replace("_", "-")), file.name


def test_fixes_leave_only_faults_without_an_edit() -> None:
    left: dict[str, set[str]] = {}
    for file in CASES:
        dialect = dialect_named(file.parent.name.replace("_", "-"))
        text = fix_source(dialect, source_of(file), with_heartbeats(), unsafe=True)
        fixed = lint_source(dialect, Source(file.name, text), with_heartbeats()).diagnostics
        assert not any(one.edits for one in fixed), file.name
        codes = {one.rule.code for one in fixed if one.severity is not Severity.INFO}
        if codes:
            left[f"{file.parent.name}/{file.stem}"] = codes
    assert left == {
        "gateway_api/bad-gke-and-nginx": {"GWA401"},
        "istio/bad-ext-proc": {"IST101"},
        "istio/bad-lua-filter": {"IST101"},
        "kserve/bad-vllm-container": {"KSV402"},
        "kubernetes_ingress/bad-contour": {"KIN404"},
        "traefik_crd/bad-chain": {"TRK101"},
        "traefik_crd/bad-ingress-annotation": {"TRK201"},
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_damaged_texts_give_findings_or_a_syntax_error(folder: str) -> None:
    dialect = dialect_named(folder.replace("_", "-"))
    for file in CASES:
        if file.parent.name == folder:
            text = file.read_text("utf-8")
            for cut in range(0, len(text), max(1, len(text) // 4)):
                damaged = text[:cut] + text[cut + 7 :]
                assert robustness_faults(dialect, damaged, with_heartbeats()) == []
