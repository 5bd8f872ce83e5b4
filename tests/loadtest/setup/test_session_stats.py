"""Statistics on closed-loop conversations: complete, cut and failed ones."""

from __future__ import annotations

from undam.loadtest.setup.plan import session_share
from undam.loadtest.setup.prompts import Prompt, sessions_in
from undam.loadtest.setup.session_stats import SessionStats
from undam.record import ContentRead, Outcome, RequestResult

MS = 1_000_000
SESSIONS = ((0, 2), (2, 3), (5, 1))


def turn(
    worker: int, session: int | None, number: int, at_ms: int, *,
    outcome: Outcome = Outcome.COMPLETE, warmup: bool = False,
) -> RequestResult:  # fmt: skip
    begin = at_ms * MS
    return RequestResult(
        number=number, worker=worker, intended_ns=begin, ended_ns=begin + 50 * MS, outcome=outcome,
        warmup=warmup, session=session, turn=number,
        reads=(ContentRead(begin + (10 + number) * MS, 0, 0, 1),) if outcome is Outcome.COMPLETE
        else (),
    )  # fmt: skip


def test_prompts_of_a_conversation_are_grouped() -> None:
    single, one, two = Prompt("x"), Prompt("x", session=1), Prompt("x", session=2)
    assert sessions_in([one, one, two, single, single, two]) == (
        (0, 2), (2, 1), (3, 1), (4, 1), (5, 1)
    )  # fmt: skip
    assert sessions_in([single, single]) == sessions_in([]) == ()


def test_workers_share_conversations() -> None:
    assert session_share(SESSIONS, 0, 2) == (SESSIONS[0], SESSIONS[2])
    assert session_share(SESSIONS, 4, 5) == SESSIONS
    assert session_share((), 0, 2) == ()


def test_only_complete_conversations_have_a_duration() -> None:
    stats = SessionStats(SESSIONS, 2)
    assert stats.to_json() is None
    stats.add(turn(0, None, 0, 0))
    assert stats.to_json() is None
    for one in (
        turn(0, 0, 1, 200), turn(0, 0, 0, 0, warmup=True),  # complete after 250 ms
        turn(0, 1, 0, 0),  # complete after one turn of 50 ms
        turn(1, 0, 0, 0), turn(1, 0, 1, 100), turn(1, 0, 2, 200, outcome=Outcome.ERROR),
        turn(1, 1, 0, 300), turn(1, 1, 1, 400, outcome=Outcome.ABANDONED),
    ):  # fmt: skip
        stats.add(one)
    found = stats.to_json()
    assert found is not None
    assert (found["started"], found["complete"], found["failed"]) == (4, 2, 1)
    assert (found["duration_ms"]["min"], found["duration_ms"]["max"]) == (50, 250)
    assert [(row["turn"], row["ttft_ms"]["count"]) for row in found["turns"]] == [(1, 3), (2, 2)]
    assert found["turns"][1]["ttft_ms"]["max"] == 11


def test_late_turns_count_as_the_twentieth() -> None:
    stats = SessionStats(((0, 30),))
    for number in range(30):
        stats.add(turn(0, 0, number, 100 * number))
    found = stats.to_json()
    assert found is not None
    assert found["complete"] == 1
    assert [(row["turn"], row["ttft_ms"]["count"]) for row in found["turns"]][-2:] == [
        (19, 1), (20, 11)
    ]  # fmt: skip
