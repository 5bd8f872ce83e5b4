"""README.md and docs/: correct links, commands, configurations, code and outputs."""

from __future__ import annotations

import difflib
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from support.doc_examples import EXAMPLES, MARK, DocExample, comparable, example, may_capture, pages
from support.undam_command import invoke
from undam.cli.main import undam
from undam.lab.proxies import Missing, find_program

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# A guide must fit on a screen of 50 lines; its lines have at most 140 characters.
SCREEN_LINES = 50
README_LINES = 150

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINT_BLOCK = re.compile(r"<!-- lint (\S+) -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PYTHON_BLOCK = re.compile(r"<!-- run python -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!`)\[(?:[^\[\]`]|`[^`]*`)+\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_SHELL_END = re.compile(r"\s(?:\||&&?|;|>|2>|#)\s.*$|\s&$")


@cache
def texts() -> dict[Path, str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return {path: path.read_text("utf-8") for path in paths if path.is_file()}


def names(paths: Iterator[Path] | list[Path]) -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


def without_code(text: str) -> str:
    return _FENCE.sub("", text)


def anchors(path: Path) -> set[str]:
    """Return the anchors for a page's headings, as GitHub and the documentation site do."""
    headings = _HEADING.findall(without_code(texts()[path]))
    plain = (re.sub(r"[^\w\- ]", "", one.replace("`", "")).strip().lower() for one in headings)
    return {one.replace(" ", "-") for one in plain}


def test_every_link_to_a_file_and_to_a_heading_exists() -> None:
    broken = []
    count = 0
    for page, text in texts().items():
        for target in _LINK.findall(without_code(text)):
            if "://" in target or target.startswith("mailto:"):
                continue
            count += 1
            path, _, anchor = target.partition("#")
            linked = (page.parent / path).resolve() if path else page
            if not linked.exists() or (
                anchor and linked.suffix == ".md" and anchor not in anchors(linked)
            ):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert count > 200
    assert broken == []


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield each `undam` command in a code block, with its page; continuation lines are joined."""
    for page, text in texts().items():
        if page.parent.name == "rules":
            continue  # in rule pages, code blocks contain notes next to the commands
        for language, code in _FENCE.findall(text):
            if language not in {"", "sh", "text", "console"} or "OPTIONS]" in code:
                continue
            for line in re.sub(r"\\\n\s*", "", code).splitlines():
                found = re.match(r"(?:\$ )?(?:sudo )?(undam [a-z].*)$", line.strip())
                if found and "…" not in line and not line.startswith("  "):
                    try:
                        words = shlex.split(_SHELL_END.sub("", found[1]), comments=True)
                    except ValueError:
                        words = [found[1]]
                    yield page.relative_to(ROOT).as_posix(), words[1:]


def test_every_command_in_a_code_block_is_accepted() -> None:
    failed = []
    listed = list(commands())
    for page, words in listed:
        try:
            parse(words)
        except click.exceptions.Exit:
            continue
        except click.ClickException as error:
            failed.append(f"{page}: undam {' '.join(words)}: {error.format_message()}")
    assert len(listed) > 60
    assert failed == []


def parse(words: list[str]) -> None:
    """Parse a command line without running it."""
    root = undam.make_context("undam", list(words), resilient_parsing=False)
    name, command, rest = undam.resolve_command(root, [*root._protected_args, *root.args])
    assert command is not None
    command.make_context(name, rest, parent=root)


def test_a_wrong_option_is_found() -> None:
    with pytest.raises(click.UsageError):
        parse(["check", "http://127.0.0.1", "--no-such-option"])
    with pytest.raises(click.UsageError):
        parse(["no-such-command"])


def lint_pages() -> list[Path]:
    return [page for page, text in texts().items() if _LINT_BLOCK.search(text)]


def test_every_guide_by_stack_has_a_configuration() -> None:
    guides = set((DOCS / "stacks").glob("*.md"))
    assert len(guides) == 13
    assert guides <= set(lint_pages())


@pytest.mark.parametrize("name", names(lint_pages()))
def test_lint_calls_the_configurations_of_the_guide_clean(name: str, tmp_path: Path) -> None:
    for file, text in _LINT_BLOCK.findall(texts()[ROOT / name]):
        (tmp_path / file).write_text(text)
    done = invoke("lint", str(tmp_path), "--json")
    result = done.json
    found = [f"{one['code']} {one['path']}: {one['message']}" for one in result["findings"]]
    assert found == []
    assert result["problems"] == []
    assert result["unread"] == []
    assert result["routes"]["streaming"] >= 1
    assert done.code == 0


def test_a_configuration_that_holds_is_not_clean(tmp_path: Path) -> None:
    (_, text), *_ = _LINT_BLOCK.findall(texts()[DOCS / "stacks" / "nginx.md"])
    held = re.sub(r" *proxy_(buffering|http_version|set_header).*\n", "", text)
    (tmp_path / "nginx.conf").write_text(held)
    assert "NGX101" in invoke("lint", str(tmp_path), "--json").codes


def test_the_gateway_accepts_the_configurations_of_the_guides(tmp_path: Path) -> None:
    found = [
        text for page in texts().values() for file, text in _LINT_BLOCK.findall(page)
        if file == "gateway.toml"
    ]  # fmt: skip
    assert found
    for text in found:
        (tmp_path / "gateway.toml").write_text(text)
        assert (
            invoke("gateway", "--config", str(tmp_path / "gateway.toml"), "--check-config").code
            == 0
        )


def test_python_code_that_is_marked_runs() -> None:
    blocks = [code for text in texts().values() for code in _PYTHON_BLOCK.findall(text)]
    assert blocks
    for code in blocks:
        names_: dict[str, Any] = {"__name__": "example"}
        exec(compile(code, "docs", "exec"), names_)
        assert "app" in names_


def test_python_code_of_the_pages_can_be_compiled() -> None:
    blocks = [
        (page, code) for page, text in texts().items() for language, code in _FENCE.findall(text)
        if language == "python"
    ]  # fmt: skip
    assert len(blocks) > 10
    for page, code in blocks:
        try:
            compile(code, str(page), "exec", flags=0x2000)  # allows top-level await and return
        except SyntaxError as error:
            if "'return' outside function" not in str(error):
                raise


def test_each_guide_by_symptom_is_one_screen_and_ends_with_a_real_output() -> None:
    guides = sorted((DOCS / "symptoms").glob("*.md"))
    assert len(guides) == 6
    for guide in guides:
        text = texts()[guide]
        assert len(text.splitlines()) <= SCREEN_LINES, guide
        assert "Related error messages and searches: *" in text.split("\n\n")[1], guide
        assert MARK.search(text), guide
        assert len(text.rpartition("```\n")[2].splitlines()) <= 5, guide


def test_the_readme_is_short_and_has_an_output_for_the_main_commands() -> None:
    text = texts()[ROOT / "README.md"]
    assert len(text.splitlines()) <= README_LINES
    shown = {shlex.split(one.shown)[1] for one in EXAMPLES if one.name in dict(MARK.findall(text))}
    assert {"check", "explain", "tap", "monitor", "bench", "lint", "render", "watch"} <= shown


def test_every_example_is_on_a_page_and_no_page_has_an_unknown_one() -> None:
    listed = {name for _, blocks in pages() for name, _ in blocks}
    assert listed - {one.name for one in EXAMPLES} == set()
    assert {one.name for one in EXAMPLES} - listed == set()


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    listed = re.findall(r'"([\w./-]+\.md)"', (ROOT / "zensical.toml").read_text("utf-8"))
    assert len(listed) == len(set(listed))
    for name in listed:
        assert (DOCS / name).is_file() or (ROOT / name).is_file() or name == "deploy.md", name
    everything = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    below_an_index = {one for one in everything if re.match(r"(rules|decisions)/", one)}
    assert everything - below_an_index - set(listed) == set()


def test_the_version_is_in_the_changelog() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert f"\n## [{version}]" in texts()[ROOT / "CHANGELOG.md"]


def test_the_image_needs_nothing_else() -> None:
    image = (DOCS / "images" / "check.svg").read_text("utf-8")
    assert image.count("<animate ") > 50
    assert not re.search(r"<script|<image|href=|url\(|@import|<foreignObject", image)
    assert "BATCHED" in image
    assert "STREAMING" in image


def test_comparison_of_outputs_ignores_numbers_and_pictures_only() -> None:
    before = "hold p50 1.5 ms\n  edge | ▪█ :|\nfix (nginx): proxy_buffering off;"
    after = "hold p50 27 ms\n  edge |    ·|\nfix (nginx): proxy_buffering off;"
    assert comparable(before) == comparable(after)
    assert comparable(before) != comparable(after.replace("off", "on"))


@pytest.fixture(scope="module")
def outputs() -> dict[str, str]:
    """Run every example once. Several run concurrently, because they mostly wait."""
    try:
        find_program("nginx")
    except Missing as missing:
        pytest.skip(str(missing))
    # Examples that share a command use one run, so the command is run only once.
    chosen = [one for one in EXAMPLES if one.name != "tap" or may_capture()]
    firsts = {(one.shown, one.set_up): one for one in chosen}
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(DocExample.run, firsts.values()))
    return {one.name: one.run() for one in chosen}


@pytest.mark.live
@pytest.mark.parametrize(
    ("page", "name"), [(page.name, name) for page, blocks in pages() for name, _ in blocks]
)
def test_the_page_shows_the_real_output(page: str, name: str, outputs: dict[str, str]) -> None:
    if name not in outputs:
        pytest.skip("packets can only be captured by root")
    (text,) = {
        text for path, blocks in pages() if path.name == page for n, text in blocks if n == name
    }
    written, real = comparable(text), comparable(outputs[name])
    hint = f"run scripts/readme-output --write {name}\n{outputs[name]}"
    assert written.splitlines()[:2] == real.splitlines()[:2], hint
    # Findings about a busy machine are not the same in every run.
    assert difflib.SequenceMatcher(None, written.split(), real.split()).ratio() >= 0.75, hint


def test_an_example_is_found_by_its_name() -> None:
    assert example("lint").shown == "undam lint nginx.conf"
