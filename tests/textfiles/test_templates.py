"""Views of templates and embedded texts have the same length as the file."""

from __future__ import annotations

import pytest

from undam.textfiles.source import Source
from undam.textfiles.templates import (
    OPAQUE,
    has_placeholders,
    is_template_name,
    region_source,
    rendered_name,
    template_source,
    with_placeholders,
)


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("a {{ b }};", "a #######;"), ("{% if x %}a{% endif %}", "          a           "),
        ("{# c #}a", "       a"), ("<%= a %>:1", "########:1"), ("<% if a -%>b", "           b"),
        ("x ${PORT};", "x #######;"), ("x ${port};", "x ${port};"), ("x ${A:-b};", "x #######;"),
        ("{{- if .a }}b{{ end }}", "            b         "), ("{{/* c */}}a", "           a"),
        ("{{ $x := 1 }}a", "             a"), ("{{ endpoint }}:1", "##############:1"),
        ("a {{ b\nc }};", "a ####\n####;"), ("{{ open", "{{ open"),
    ],
)  # fmt: skip
def test_placeholders_are_opaque_and_tags_are_blank(text: str, view: str) -> None:
    source = template_source("f", text)
    assert source.text == view.replace("#", OPAQUE)
    assert (source.written, len(source.text)) == (text, len(text))
    assert source.holes == ()


def test_a_placeholder_on_a_line_of_its_own_is_a_hole() -> None:
    text = "a;\n  ${MORE}  # comment\nb;\n{{- toYaml . | nindent 4 }}"
    source = template_source("f", text)
    assert [text[start:end] for start, end in source.holes] == [
        "${MORE}", "{{- toYaml . | nindent 4 }}",
    ]  # fmt: skip
    assert source.text.split("\n")[1].strip() == "# comment"


def test_a_view_is_created_again_for_a_changed_text() -> None:
    source = template_source("f", "a {{ b }};")
    assert source.with_written("{{ c }}x").text == OPAQUE * 7 + "x"
    assert Source("f", "a").with_written("b") == Source("f", "b")


def test_a_region_keeps_its_offsets_and_grows_with_its_text() -> None:
    text = "k: |\n  ab\n  {{ c }}\nend\n"
    outer = template_source("f", text)
    start, end = text.index("  ab"), text.index("end")
    region = region_source(outer, start, end)
    assert region.text == "    \n  ab\n         \n   \n"
    assert len(region.holes) == 1
    assert region.written == text
    changed = text.replace("  ab\n", "  ab\n  cd\n")
    assert region.with_written(changed).text == "    \n  ab\n  cd\n         \n   \n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://{{ host }}:${PORT}/", "http://{{ host }}:${PORT}/"),
        ("no placeholder", "no placeholder"), ("a {{ ab }} {{ cd }}", "a … …"),
    ],
)  # fmt: skip
def test_a_text_from_a_view_is_shown_as_written(text: str, expected: str) -> None:
    source = template_source("f", text)
    assert with_placeholders(source.text, source) == expected


@pytest.mark.parametrize(
    ("name", "is_template", "rendered"),
    [
        ("nginx.conf.j2", True, "nginx.conf"), ("default.conf.template", True, "default.conf"),
        ("a.inc.template", True, "a"), ("nginx.conf", False, "nginx.conf"), (".tpl", True, ".tpl"),
    ],
)  # fmt: skip
def test_names_of_templates(name: str, is_template: bool, rendered: str) -> None:
    assert is_template_name(name) is is_template
    assert rendered_name(name) == rendered


@pytest.mark.parametrize(
    ("text", "expected"), [("a", False), ("a { b }", False), ("{{ a }}", True), ("<% a %>", True)]
)
def test_placeholders_are_detected(text: str, expected: bool) -> None:
    assert has_placeholders(text) is expected
