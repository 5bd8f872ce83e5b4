"""Claims about intermediaries: their stated evidence, and access to claims by aspect."""

from __future__ import annotations

from undam.intermediaries import intermediary
from undam.intermediaries.claims import documented, measured
from undam.intermediaries.habits import writers_of_text


def test_evidence_states_how_it_was_obtained() -> None:
    ran = measured("1.0", "undam check URL", checked="2026-11")
    assert str(ran) == "measured 2026-11 with 1.0: undam check URL"
    read = documented("the manual", checked="2026-10")
    assert str(read) == "documented, checked 2026-10: the manual"
    both = measured("1.0", "x", checked="2026-11", source="a report")
    assert both.source == "measured on loopback; a report"


def test_an_intermediary_states_how_a_client_disconnect_is_forwarded() -> None:
    nginx = intermediary("nginx")
    assert nginx.client_left.endswith(".")
    assert nginx.origin_lost.endswith(".")


def test_error_text_in_a_stream_names_its_author() -> None:
    names = writers_of_text(b"data: x\n\nError occurred while trying to proxy: localhost/")
    assert len(names) == 1
    assert writers_of_text(b"data: [DONE]\n\n") == ()
