"""Parsed HTML report page."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = {"meta", "br"}


class ParsedPage(HTMLParser):
    """Tags and text of a page; tags must be closed in the correct order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def classes(self) -> list[str | None]:
        return [attrs.get("class") for _, attrs in self.tags]

    def ids(self, tag: str) -> set[str | None]:
        return {attrs["id"] for name, attrs in self.tags if name == tag and "id" in attrs}
