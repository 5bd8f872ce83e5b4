"""Content integrity: unchanged content, and every kind of damage."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from support.diagnosis_cases import codes, diagnose, head_with
from support.lossy_relay import (
    RELAYS,
    as_writes,
    drop,
    duplicate,
    numbered_events,
    plain_events,
    positions,
    swap,
)
from support.synthetic_streams import START_NS, Write, exchange
from undam.diagnosis.findings.integrity import find_faults
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import analyze_hop
from undam.diagnosis.integrity import analyze_integrity, compare_answers
from undam.diagnosis.numbering import AnswerIntegrity
from undam.diagnosis.reading import Reading, added_texts, read_exchange
from undam.record import Ending
from undam.rules import Severity
from undam.timing.numbered_text import encode_piece

RUNS = 200
CONTENT = {"UD611", "UD612", "UD613", "UD614", "UD615", "UD616"}
_SENTENCES = (
    "The harbour lay quiet, and 灯台 stood above it. Nobody had lit the lamp for years; still, "
    "every evening a light was seen, small and steady, as if someone read a book up there. "
    "The children had enough of waiting, so they went up, step by step by step."
)
PROSE = _SENTENCES.split()


def _reading(events: Sequence[bytes], **more: object) -> Reading:
    return read_exchange(exchange(as_writes(events), **more))  # type: ignore[arg-type]


def _integrity(events: Sequence[bytes], **more: object) -> AnswerIntegrity:
    return analyze_integrity(_reading(events, **more))


def _sse(*payloads: object, ids: Sequence[int] = ()) -> list[bytes]:
    named = [f"id: {number}\n" for number in ids] or [""] * len(payloads)
    return [
        f"{name}data: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()
        for name, payload in zip(named, payloads, strict=True)
    ]


@pytest.mark.slow
def test_seeded_relays_are_found_and_clean_ones_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Analyze 200 damaged and 200 clean streams. The reported counts are exact."""
    found: Counter[str] = Counter()
    kinds = list(RELAYS)
    for seed in range(RUNS):
        rng = random.Random(seed)
        name = kinds[seed % len(kinds)]
        damage, field = RELAYS[name]
        rate = 0.1 if seed % 2 else 0.005
        count = rng.randint(40, 160)
        at = positions(rng, count, rate, torn=name == "garble")
        integrity = _integrity(damage(numbered_events(count), at))
        expected = {"truncate": count - min(at), "merge": count}.get(name, len(at))
        assert getattr(integrity, field) == expected, (seed, name)
        assert integrity.faults == expected, (seed, name)
        assert integrity.sent == count
        found[name] += 1
    false = 0
    for seed in range(RUNS):
        rng = random.Random(seed)
        events = numbered_events(rng.randint(20, 160), gap_ms=rng.choice([0, 5, 25]))
        data = b"".join(events)
        size = rng.choice([1, 7, 61, 1024, 4096])
        reads = [Write(300 + i, data[i : i + size]) for i in range(0, len(data), size)]
        false += not analyze_integrity(read_exchange(exchange(reads))).is_intact
    print(f"found {found.total()} of {RUNS}: {dict(found)}; false reports on clean: {false}")
    assert found.total() == RUNS
    assert not false


def test_findings_of_a_numbered_text_are_errors_with_count_and_place() -> None:
    events = swap(duplicate(drop(numbered_events(60), {5, 20}), {30}), {40})
    found = [one for one in diagnose(exchange(as_writes(events)), offset=ClockOffset())
             if one.code in CONTENT]  # fmt: skip
    assert {one.code: one.evidence["count"] for one in found} == {
        "UD611": 2, "UD612": 1, "UD613": 1,
    }  # fmt: skip
    lost = next(one for one in found if one.code == "UD611")
    assert lost.evidence["first"] == "event 5"
    assert lost.evidence["events"] == 60
    assert {one.severity.value for one in found} == {"error"}


def test_both_sides_of_a_proxy_prove_every_fault_but_a_filter_may_alter_a_text() -> None:
    found = find_faults("edge", AnswerIntegrity("both-sides", sent=9, lost=1, altered=2, torn=1))
    severities = {one.code: one.severity for one in found}
    assert severities == {
        "UD611": Severity.ERROR, "UD614": Severity.WARNING, "UD615": Severity.ERROR,
    }  # fmt: skip


def test_the_guilty_hop_is_the_innermost_with_the_fault() -> None:
    lossy, clean = drop(numbered_events(40), {7}), numbered_events(40)
    found = diagnose(
        exchange(as_writes(lossy), hop="edge"),
        exchange(as_writes(lossy), hop="gateway"),
        exchange(as_writes(clean), hop="model"),
        offset=ClockOffset(),
    )
    assert [(one.code, one.hop) for one in found if one.code in CONTENT] == [("UD611", "gateway")]


def test_a_broken_stream_has_no_lost_events_after_its_end() -> None:
    events = numbered_events(40)[:25]
    assert _integrity(events, ending=Ending.TRUNCATED).is_intact
    assert _integrity(events).is_intact  # The missing end is reported by UD601.
    assert _integrity(drop(events, {3}), ending=Ending.RESET).lost == 1


def test_exact_holds_from_text_when_the_json_was_rebuilt() -> None:
    reading = _reading(numbered_events(30))
    assert [item.due.seq for item in reading.contents if item.due] == list(range(30))
    hop = analyze_hop([reading], offset=ClockOffset())
    assert len(hop.holds) == 30


def test_an_application_that_joins_events_keeps_the_numbers() -> None:
    events = numbered_events(40)
    texts = [json.loads(event[6:])["choices"][0]["delta"]["content"] for event in events[:40]]
    text = "".join(texts)
    joined = plain_events([text[i : i + 100] for i in range(0, len(text), 100)])
    reading = _reading(joined)
    assert analyze_integrity(reading) == AnswerIntegrity("numbered-text", sent=40, received=40)
    dues = [item.due.seq for item in reading.contents if item.due is not None]
    assert dues == sorted(dues)
    assert len(dues) > 15


@pytest.mark.parametrize("lost", [None, 7])
def test_an_application_that_sends_the_whole_text_so_far(lost: int | None) -> None:
    pieces = [encode_piece(i, 20, START_NS, "3fa2") for i in range(20) if i != lost]
    reading = _reading(_sse(*({"answer": "".join(pieces[: i + 1])} for i in range(len(pieces)))))
    found = analyze_integrity(reading)
    assert (found.evidence, found.duplicated, found.lost) == ("numbered-text", 0, lost is not None)
    assert [item.due.seq for item in reading.contents if item.due][-1] == 19


def test_equal_texts_are_not_the_whole_text_so_far() -> None:
    reading = _reading(plain_events(["a", "a", "aa", "a", "a", "a", "a", "a", "a"]))
    assert added_texts(reading.contents) == ["a", "a", "aa", *["a"] * 6]


def test_plain_json_events_with_numbered_text() -> None:
    pieces = [json.loads(event[6:])["choices"][0]["delta"]["content"]
              for event in numbered_events(20)[:20]]  # fmt: skip
    events = _sse(*({"text": piece, "pad": "x" * 30} for piece in pieces))
    assert _integrity(events, api="plain") == AnswerIntegrity("numbered-text", sent=20, received=20)


def test_a_damaged_stamp_is_an_altered_event() -> None:
    events = [event.replace(b"[u9/40.", b"[u9/40,") for event in numbered_events(40)]
    found = _integrity(events)
    assert (found.altered, found.lost, found.first_of("altered")) == (1, 0, "event 9")


class TestWithoutABeacon:
    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_replacement_characters_between_whole_ones(self, size: int) -> None:
        texts = ["你好", "我" + "\ufffd" * size + "个", "们"] * 5
        found = diagnose(exchange(as_writes(plain_events(texts))))
        (torn,) = [one for one in found if one.code == "UD615"]
        assert torn.evidence["count"] == 5
        assert torn.severity.value == "error"
        assert "我" in str(torn.evidence["first"])

    def test_one_replacement_character_is_a_warning(self) -> None:
        found = diagnose(exchange(as_writes(plain_events([*PROSE, "na\ufffdve"]))))
        assert [one.severity.value for one in found if one.code == "UD615"] == ["warning"]

    def test_half_a_surrogate_pair(self) -> None:
        escaped = [
            b'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n',
            *plain_events(["b"]),
        ]
        assert _integrity(escaped).torn == 1

    def test_a_pair_in_two_events_is_whole(self) -> None:
        events = [
            b'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n',
            b'data: {"choices":[{"delta":{"content":"\\ude00"}}]}\n\n',
            *plain_events(["b"]),
        ]
        assert _integrity(events).torn == 0

    @pytest.mark.parametrize(
        "texts",
        [
            ["It", " shows", ' "\ufffd"', " for", " bytes"],
            ["Look", " at", " `\ufffd`", "."],
            ["The", " character", " U+FFFD", " looks", " like", " \ufffd", "."],
            ["The", " replacement character", " is", " \ufffd\ufffd"],
        ],
    )
    def test_a_text_about_the_character_is_clean(self, texts: list[str]) -> None:
        assert _integrity(plain_events(texts)).is_intact

    def test_another_charset_is_not_decoded_as_utf8(self) -> None:
        head = head_with(("Content-Type", "text/plain; charset=iso-8859-1"))
        reads = [Write(300.0 + i, "Größe ".encode("latin-1")) for i in range(9)]
        assert analyze_integrity(read_exchange(exchange(reads, head=head, api="plain"))).torn == 0

    @pytest.mark.parametrize("seed", range(20))
    def test_repeated_events_that_arrive_together(self, seed: int) -> None:
        rng = random.Random(seed)
        at = {*positions(rng, 40, 0.1), 2, 12}
        found = _integrity(duplicate(plain_events(PROSE), at))
        assert found.duplicated == len(at)
        assert found.evidence == "events"

    def test_every_event_twice(self) -> None:
        events = plain_events(PROSE)
        found = _integrity(duplicate(events, set(range(len(PROSE)))))
        assert found.duplicated == len(PROSE)

    def test_every_event_twice_in_one_block(self) -> None:
        body = b"".join(duplicate(plain_events(PROSE), set(range(len(PROSE)))))
        reading = read_exchange(exchange([Write(300, body)]))
        assert analyze_integrity(reading).duplicated == len(PROSE)

    @pytest.mark.parametrize(
        "texts",
        [
            ["no", " no", " no", " no", " it", " is", " is", " fine", " fine", "."],
            ["ha"] * 40,
            ["    ", "    ", "x", "\n", "    ", "    ", "y", "\n"] * 4,
            PROSE,
        ],
    )
    def test_a_model_that_repeats_itself_is_clean(self, texts: list[str]) -> None:
        events = plain_events(texts)
        reads = [Write(300 + 25 * i, event) for i, event in enumerate(events)]
        assert analyze_integrity(read_exchange(exchange(reads))).is_intact

    def test_equal_events_of_which_some_are_delayed_are_clean(self) -> None:
        events = plain_events([" tok"] * 12)
        times = [0, 10, 20, 20.1, 30, 40, 40.1, 50, 60, 70, 70.1, 80, 90, 90]
        reads = [Write(300 + at, event) for at, event in zip(times, events, strict=True)]
        assert analyze_integrity(read_exchange(exchange(reads))).is_intact

    def test_repetitions_in_blocks_prove_nothing(self) -> None:
        body = b"".join(plain_events(["ha", "ha", "ho", "no", "no", "hi", "so", "so", "x"]))
        assert analyze_integrity(read_exchange(exchange([Write(300, body)]))).is_intact


def chat_of(ident: str, content: str, index: int = 0, **delta: object) -> dict[str, object]:
    choice = {"index": index, "delta": {"content": content, **delta}, "finish_reason": None}
    return {"id": ident, "choices": [choice]}


class TestMixedAnswers:
    """Content after the end of an answer, and chat events with another response ID."""

    FIRST = tuple(chat_of("a", f"a{n} ") for n in range(20))
    SECOND = tuple(chat_of("b", f"b{n} ") for n in range(12))

    @staticmethod
    def _events(*payloads: object) -> list[bytes]:
        return [*_sse(*payloads), b"data: [DONE]\n\n"]

    def test_an_answer_that_continues_with_another_id(self) -> None:
        found = _integrity(self._events(*self.FIRST, *self.SECOND))
        assert (found.mixed, found.first_of("mixed")) == (12, "event 20")
        (fault,) = find_faults("edge", found)
        assert (fault.code, fault.severity) == ("UD616", Severity.WARNING)

    def test_content_after_the_end_marker(self) -> None:
        second = [chat_of("a", f"b{n} ") for n in range(12)]
        found = _integrity([*self._events(*self.FIRST), *self._events(*second)])
        assert (found.mixed, found.first_of("mixed")) == (12, "event 20")

    def test_content_after_message_stop(self) -> None:
        def message(word: str) -> list[object]:
            delta = {"type": "text_delta", "text": word}
            block = {"type": "content_block_delta", "index": 0, "delta": delta}
            return [*[block] * 1, {"type": "message_stop"}]

        events = _sse({"type": "message_start"}, *message("one"), *message("two"))
        assert _integrity(events, api="anthropic-messages").mixed == 1

    @pytest.mark.parametrize(
        "payloads",
        [
            FIRST,
            [chat_of(f"chunk-{n}", f"w{n} ") for n in range(30)],
            [chat_of("", "w0 "), chat_of("x", "w1 "), *FIRST[2:]],
            [chat_of(f"c{n % 2}", f"w{n} ", index=n % 2) for n in range(30)],
            [*FIRST, chat_of("a", "", tool_calls=[{"function": {"name": "f"}}]), *SECOND],
        ],
        ids=["one", "an ID for each event", "a first ID of its own", "two choices", "an agent"],
    )
    def test_other_ids_are_clean(self, payloads: list[dict[str, object]]) -> None:
        assert _integrity(self._events(*payloads)).is_intact

    def test_a_feed_of_an_application_may_contain_several_answers(self) -> None:
        events = [b"data: one two\n\n", b"data: [DONE]\n\n", b"data: three\n\n"]
        assert _integrity(events, api="plain").is_intact


class TestTextOfMixedEvents:
    def test_halves_of_characters_in_two_mixed_choices_are_joined(self) -> None:
        halves = [chat_of("c", half, index=n % 2) for n, half in enumerate(
            ["\ud83d", "x", "\ude00", "y"] * 5
        )]  # fmt: skip
        lines = [f"data: {json.dumps(one)}\n\n".encode() for one in halves]
        assert _integrity(lines).is_intact
        torn = [line.replace(b"\\ude00", b"?") for line in lines]
        assert _integrity(torn).torn == 5

    def test_the_place_of_a_repetition_is_kept_if_the_final_text_differs(self) -> None:
        deltas = [{"type": "response.output_text.delta", "delta": f"w{n} "} for n in range(20)]
        done = {"type": "response.output_text.done", "text": "".join(f"w{n} " for n in range(20))}
        events = duplicate(_sse(*deltas), {4, 9})
        found = _integrity([*events, *_sse(done)])
        assert (found.first_of("duplicated"), found.altered) == ("event 5", 1)


class TestNumbers:
    @staticmethod
    def _responses(numbers: Sequence[int]) -> list[bytes]:
        deltas = _sse(
            *(
                {"type": "response.output_text.delta", "sequence_number": n, "delta": f"w{n} "}
                for n in numbers
            )
        )
        return [*deltas, *_sse({"type": "response.completed", "response": {}})]

    def test_sequence_numbers(self) -> None:
        assert _integrity(self._responses(range(3, 40)), api="openai-responses").is_intact
        numbers = [1, 2, 3, 5, 6, 6, 7, 9, 8, 10, 11, 12, 13, 14, 15, 16, 17]
        found = _integrity(self._responses(numbers), api="openai-responses")
        assert (found.lost, found.duplicated, found.reordered) == (1, 1, 1)
        assert found.evidence == "sequence-numbers"
        assert found.first_of("lost") == "event 4"

    @pytest.mark.parametrize(
        "numbers", [[0] * 20, [1, 5, 9, 2, 40, 3, 8, 99, 1, 7], list(range(0, 60, 3)), [1, 2, 3]]
    )
    def test_numbers_that_are_not_a_count_are_ignored(self, numbers: list[int]) -> None:
        found = _integrity(self._responses(numbers), api="openai-responses")
        assert (found.lost, found.reordered) == (0, 0)

    def test_index_of_tgi(self) -> None:
        def events(numbers: Sequence[int]) -> list[bytes]:
            return _sse(
                *({"index": n, "token": {"text": f"w{n}"}, "generated_text": None} for n in numbers)
            )

        assert _integrity(events(range(1, 30)), api="plain").is_intact
        assert _integrity(events([1, 2, 3, 4, 5, 7, 8, 9, 10]), api="plain").lost == 1

    def test_event_ids(self) -> None:
        payloads = [{"text": f"w{n}"} for n in range(20)]
        ids = list(range(100, 120))
        assert _integrity(_sse(*payloads, ids=ids), api="plain").is_intact
        lossy = drop(_sse(*payloads, ids=ids), {4, 9})
        assert _integrity(lossy, api="plain").lost == 2
        doubled = duplicate(_sse(*payloads, ids=ids), {4})
        assert _integrity(doubled, api="plain").duplicated == 1

    def test_ids_of_a_shared_log_are_not_counted(self) -> None:
        rng = random.Random(1)
        ids = sorted(rng.sample(range(1000), 30))
        assert _integrity(_sse(*({"t": i} for i in ids), ids=ids), api="plain").is_intact

    def test_an_id_that_only_some_events_have(self) -> None:
        events = _sse(*({"t": i} for i in range(30)))
        events[10] = b"id: 7\n" + events[10]
        assert _integrity(events, api="plain").is_intact

    def test_a_reserved_id_of_the_last_event(self) -> None:
        events = _sse(*({"t": n} for n in range(20)), ids=[*range(1, 20), 999])
        assert _integrity(events, api="plain").is_intact
        assert _integrity(events[:3] + events[5:-1], api="plain").lost == 2

    def test_events_between_two_with_ids(self) -> None:
        events = _sse(*({"t": n} for n in range(20)), ids=range(20))
        events.insert(5, b'data: {"note":"without an id"}\n\n')
        assert _integrity(events, api="plain").is_intact

    def test_the_final_text_of_the_responses_api(self) -> None:
        def events(final: str) -> list[bytes]:
            deltas = [{"type": "response.output_text.delta", "delta": f"w{n} "} for n in range(9)]
            done = {"type": "response.output_text.done", "text": final}
            return _sse(*deltas, done, {"type": "response.completed", "response": {}})

        whole = "".join(f"w{n} " for n in range(9))
        assert _integrity(events(whole), api="openai-responses").is_intact
        assert _integrity(events(whole + "and more"), api="openai-responses").altered == 1

    @pytest.mark.parametrize("prefix", ["response.output_text", "transcript.text"])
    def test_each_text_has_its_own_final_event(self, prefix: str) -> None:
        def text(item: str) -> list[dict[str, str]]:
            words = [f"{item}{n} " for n in range(9)]
            deltas = [{"type": f"{prefix}.delta", "item_id": item, "delta": w} for w in words]
            return [*deltas, {"type": f"{prefix}.done", "item_id": item, "text": "".join(words)}]

        both = [*text("a"), {"type": f"{prefix}.note", "item_id": "a"}, *text("b")]
        assert _integrity(_sse(*both), api="plain").is_intact
        assert _integrity(_sse(*both[:-2]), api="plain").is_intact  # UD601 reports the cut.
        assert _integrity(_sse(*both[:13], *both[14:]), api="plain").altered == 1


SENTENCE = ["Le ", "café ", "est ", "prêt, ", "déjà ", "servi à ", "l’hôtel. ", "Voilà ", "!"]


class TestMisreadText:
    @staticmethod
    def _misread(text: str, charset: str) -> str:
        return b"".join(bytes([b]) for b in text.encode()).decode(charset, "replace")

    @pytest.mark.parametrize("charset", ["latin-1", "cp1252"])
    def test_utf_8_that_was_decoded_as_another_charset(self, charset: str) -> None:
        texts = [self._misread(text.replace("à", "é"), charset) for text in SENTENCE]
        found = _integrity(plain_events(texts))
        assert found.altered == 6
        assert "cafÃ©" in found.first_of("altered")
        (finding,) = find_faults("edge", found)
        assert (finding.code, finding.severity) == ("UD614", Severity.WARNING)

    def test_chinese_that_was_decoded_as_latin_1(self) -> None:
        texts = [character.encode().decode("latin-1") for character in "一二三四五六七八"]
        assert _integrity(plain_events(texts)).altered == 8

    @pytest.mark.parametrize(
        "texts",
        [
            SENTENCE,
            ["“", "É", "»", "Ã", "©", "™", "…", "ß"] * 3,
            ["The ", "text ", "`cafÃ©` ", "was ", "meant ", "as ", "café ", ".", "."],
            ["The ", "text ", "`cafÃ©` ", "is ", "a ", "well-", "known ", "fault ", "."],
            list("一二三四五六七八"),
            ["a", "\x81\u0152", "b", "c", "d", "e", "f", "g"],
        ],
    )
    def test_other_special_characters_are_no_fault(self, texts: list[str]) -> None:
        assert _integrity(plain_events(texts)).is_intact


class TestAgainstAnInnerHop:
    @staticmethod
    def _two_answers(swapped: set[int] = frozenset()) -> list[bytes]:  # type: ignore[assignment]
        chunks = []
        for step in range(30):
            for index in (1, 0) if step in swapped else (0, 1):
                delta = {"content": f"word{step * 7 % 30} "}
                chunks.append({"choices": [{"index": index, "delta": delta}]})
        return _sse(*chunks)

    def test_two_parallel_answers_in_another_order(self) -> None:
        inner = _reading(self._two_answers())
        same = compare_answers(inner, _reading(self._two_answers({4, 11, 20})))
        assert same is not None
        assert same.is_intact
        lossy = compare_answers(inner, _reading(drop(self._two_answers({4, 11, 20}), {30})))
        assert lossy is not None
        assert (lossy.faults, lossy.lost, lossy.first_of("lost")) == (1, 1, "event 30")

    INNER = plain_events([f"word{n} " for n in range(60)])

    def _compare(self, outer: Sequence[bytes]) -> AnswerIntegrity | None:
        return compare_answers(_reading(self.INNER), _reading(outer))

    def test_equal_answers(self) -> None:
        same = self._compare(self.INNER)
        assert same is not None
        assert same.is_intact

    @pytest.mark.parametrize(
        ("damage", "field"), [(drop, "lost"), (duplicate, "duplicated"), (swap, "reordered")]
    )
    def test_damage_is_found(self, damage: object, field: str) -> None:
        assert callable(damage)
        found = self._compare(damage(self.INNER, {5, 20, 33}))
        assert found is not None
        assert getattr(found, field) == found.faults == 3

    def test_a_lost_event_is_a_warning_at_the_outer_hop(self) -> None:
        outer = exchange(as_writes(drop(self.INNER, {5})), hop="edge")
        found = diagnose(outer, exchange(as_writes(self.INNER), hop="model"))
        (lost,) = [one for one in found if one.code in CONTENT]
        assert (lost.code, lost.hop, lost.severity.value) == ("UD611", "edge", "warning")
        assert "estimate" in lost.message

    @pytest.mark.parametrize(
        "texts",
        [
            [f"other{n} " for n in range(60)],
            [*(f"word{n} " for n in range(50)), *(f"new{n} " for n in range(10))],
            [f"word{n} " for n in range(50)],
            [f"word{n} " for n in range(80)],
            [f"word{n} word{n + 1} " for n in range(0, 60, 2)],
            ["one", "two"],
            [*(f"word{n} " for n in range(30)), "surprise ", *(f"word{n} " for n in range(30, 60))],
        ],
    )
    def test_another_answer_of_the_model_proves_nothing(self, texts: list[str]) -> None:
        found = self._compare(plain_events(texts))
        assert found is None or found.is_intact

    def test_codes_of_a_clean_pair(self) -> None:
        found = diagnose(
            exchange(as_writes(self.INNER), hop="edge"),
            exchange(as_writes(self.INNER), hop="model"),
        )
        assert not codes(found) & CONTENT
