"""Time sections of a run: their number is bounded, and the order of values does not matter."""

from __future__ import annotations

from undam.metrics.sections import Sections


def test_sections_do_not_depend_on_the_order_of_values() -> None:
    class Count:
        def __init__(self) -> None:
            self.n = 0

        def merge(self, other: Count) -> None:
            self.n += other.n

    def filled(positions: list[int]) -> Sections[Count]:
        sections = Sections(Count, most=4)
        for position in positions:
            sections.at(position).n += 1
        return sections

    def rows(sections: Sections[Count]) -> list[tuple[int, int]]:
        return [(position, row.n) for position, row in sections]

    positions = [5, 900, 7, 3, 1 << 62, 6, 901, -3]
    whole = filled(positions)
    assert len(whole) <= 4
    assert rows(filled(positions[::-1])) == rows(whole)
    for split in range(len(positions) + 1):
        parts = filled(positions[:split]), filled(positions[split:])
        parts[0].merge(parts[1])
        assert rows(parts[0]) == rows(whole)
