"""ModelLabels: which models keep their label when there are too many models."""

from __future__ import annotations

from undam.gateway.telemetry.model_labels import OTHER, ModelLabels


def test_a_model_with_open_streams_keeps_its_label() -> None:
    dropped: list[str] = []
    labels = ModelLabels(dropped.append, max_labels=1, idle_s=10)
    assert labels.acquire("a", 0.0) == "a"
    assert labels.acquire("b", 100.0) == OTHER
    labels.release("a")
    assert (labels.acquire("b", 100.0), dropped) == ("b", ["a"])
    assert [labels.known(name) for name in ("a", "b", "")] == [OTHER, "b", ""]
