"""docs/extending.md: each part of the page, written to a file and used by its command."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Use

PAGE = (Path(__file__).parent.parent / "docs/extending.md").read_text()
SHORT = ("--limit", 256, "--epochs", 1, "--seed", 0)


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of the page, made the current one; what it imports is forgotten."""
    monkeypatch.chdir(tmp_path)
    files = {
        name: text for text in blocks("python") for name in re.findall(r"^# (\w+\.py)$", text, re.M)
    }
    assert len(files) == 4
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    yield tmp_path
    for name in files:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.slow
def test_each_part_trains_and_its_run_is_used_by_every_kind_of_command(
    here: Path, use: Use, subtests: pytest.Subtests
) -> None:
    lines = [shlex.split(line) for block in blocks("") for line in block.splitlines()]
    commands = {words[-1]: words[1:] for words in lines if words[1] == "train"}
    assert commands.keys() == {"power", "cauchy", "laplace", "narrow"}
    for name, words in commands.items():
        with subtests.test(name):
            use(*words, *SHORT)
            commands_of_runs = [("sample", "-n", 4), ("reconstruct",), ("score", "--samples", 2)]
            for command in commands_of_runs + [("evaluate", "--samples", 2)] * (name == "cauchy"):
                use(*command, "--run", name, "--allow-code")


def test_the_program_of_the_page_runs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(here))
    (program,) = [text for text in blocks("python") if "import fit" in text]
    with pytest.warns(UserWarning, match="run own keeps no code of its model: load it with model="):
        exec(compile(program, "page.py", "exec"), {})
