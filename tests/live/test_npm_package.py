"""The npm package undam-stream: its tests in Node.js, its type declarations, and its files."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.live import skip_or_fail
from undam.lab.proxies import Missing

pytestmark = pytest.mark.live

_PACKAGE = Path(__file__).parents[2] / "packages" / "undam-stream"
_CONTENT = {
    "LICENSE", "README.md", "package.json", "src/hook.mjs", "src/index.d.ts", "src/index.mjs",
    "src/react.d.ts", "src/react.mjs",
}  # fmt: skip


def _run(*command: str, cwd: Path = _PACKAGE) -> str:
    program = shutil.which(command[0])
    if program is None:
        skip_or_fail(Missing(command[0], "nodejs and npm"))
    done = subprocess.run(
        [program or "", *command[1:]], cwd=cwd, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_tests_pass_in_node() -> None:
    tests = sorted(str(path) for path in (_PACKAGE / "test").glob("*.test.mjs"))
    assert len(tests) == 2
    output = _run("node", "--test", "--test-reporter=tap", *tests)
    assert "# fail 0" in output
    assert int(output.rpartition("# pass ")[2].split()[0]) >= 20


def test_the_packed_files_are_those_of_the_package() -> None:
    (packed,) = json.loads(_run("npm", "pack", "--dry-run", "--json"))
    assert {one["path"] for one in packed["files"]} == _CONTENT
    about = json.loads((_PACKAGE / "package.json").read_text())
    assert "dependencies" not in about
    for target in about["exports"].values():
        for path in target.values() if isinstance(target, dict) else [target]:
            assert (_PACKAGE / path).is_file()


def test_every_export_has_a_type() -> None:
    module = (_PACKAGE / "src" / "index.mjs").as_uri()
    program = f"console.log(JSON.stringify(Object.keys(await import({module!r}))))"
    names = json.loads(_run("node", "--input-type=module", "-e", program))
    types = (_PACKAGE / "src" / "index.d.ts").read_text()
    assert set(names) >= {"readStream", "readEvents", "Parser", "ResponseError"}
    for name in names:
        assert f"export class {name} " in types or f"export function {name}(" in types


def test_the_examples_reader_is_the_package() -> None:
    reader = Path(__file__).parents[2] / "examples" / "browser" / "reader.mjs"
    program = f"const m = await import({reader.as_uri()!r}); console.log(typeof m.readStream)"
    assert _run("node", "--input-type=module", "-e", program).strip() == "function"
