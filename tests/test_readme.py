"""The README's generated parts are current; `python tests/test_readme.py` writes them."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from vae_cli import config

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def settings() -> str:
    """The table of settings, from the schema."""
    lines = ["| setting | flag | default | allowed | |", "|---|---|---|---|---|"]
    for entry in config.entries():
        default = list(entry.default) if isinstance(entry.default, tuple) else entry.default
        flag = f"`{entry.flag}`" if entry.flag else ""
        lines.append(f"| `{entry.key}` | {flag} | {default} | {entry.range} | {entry.help} |")
    return "\n".join(lines)


def help_text() -> str:
    """What `vae --help` prints on a terminal of 80 columns."""
    command = [sys.executable, "-m", "vae_cli", "--help"]
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    shown = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    lines = [line.rstrip() for line in shown.stdout.strip("\n").splitlines()]
    return "\n".join(["```", "$ vae --help", *lines, "```"])


def current(text: str) -> str:
    """The README with its generated parts made anew."""
    for name, part in (("settings", settings()), ("help", help_text())):
        pattern = rf"(<!-- {name}: [^\n]*\n).*?(<!-- end -->)"
        text = re.sub(pattern, lambda m, part=part: f"{m[1]}{part}\n{m[2]}", text, flags=re.DOTALL)
    return text


def test_generated_parts_are_current() -> None:
    assert README.read_text() == current(README.read_text())


def test_pictures_and_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", README.read_text()):
        assert (ROOT / target).is_file(), target


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.toml")), ids=lambda p: p.name)
def test_named_experiments_are_valid_and_named_in_themselves(path: Path) -> None:
    config.resolve((path.name, config.read(path)))
    assert f"vae train --config configs/{path.name}" in path.read_text()


def test_the_default_experiment_is_the_default() -> None:
    tables = tomllib.loads((ROOT / "configs/fashion-mnist.toml").read_text())
    assert config.resolve(("file", tables)) == config.Config()


if __name__ == "__main__":
    README.write_text(current(README.read_text()))
