"""The README, CONTRIBUTING.md and the pages in docs/ agree with the code.

`python tests/test_documents.py` rewrites the generated parts of docs/settings.md and
docs/commands.md.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from vae_cli.cli._figures import describe_claim
from vae_cli.model import ImageCodec
from vae_cli.noise import Noise
from vae_cli.settings import (
    Config,
    Experiment,
    entries,
    likelihoods,
    list_experiments,
    merge,
    read_config,
)

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SETTINGS, COMMANDS = ROOT / "docs/settings.md", ROOT / "docs/commands.md"
RESULTS = ROOT / "docs/results.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))

MAX_README_WORDS = 850
MAX_README_PICTURES = 5
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)|<img\s[^>]*?src=\"([^\"]+)\"")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|<a\s[^>]*?href=\"([^\"]+)\"")
REPOSITORY_PATH = re.compile(r"\b(?:tests|configs|docs|vae_cli)/[\w./-]*\w")


def settings_table() -> str:
    """The table of all settings, from the schema."""
    lines = ["| setting | flag | default | allowed | meaning |", "|---|---|---|---|---|"]
    for entry in entries():
        default = json.dumps(entry.default).strip('"')
        flag = f"`--{entry.short}`" if entry.short else ""
        lines.append(f"| `{entry.key}` | {flag} | {default} | {entry.range} | {entry.help} |")
    return "\n".join(lines)


def help_text() -> str:
    """The output of `vae --help` in a terminal of 80 columns."""
    command = [sys.executable, "-m", "vae_cli", "--help"]
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    lines = [line.rstrip() for line in done.stdout.strip("\n").splitlines()]
    return "\n".join(["```", "$ vae --help", *lines, "```"])


def with_generated_part(text: str, name: str, part: str) -> str:
    """The text, with a new part between `<!-- name: ... -->` and `<!-- end -->`.

    Raises:
        ValueError: the text does not have these two marks exactly once.
    """
    pattern = rf"(<!-- {name}: [^\n]*\n).*?(<!-- end -->)"
    text, count = re.subn(pattern, lambda m: f"{m[1]}{part}\n{m[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"expected one generated part {name}, found {count}")
    return text


def without_code(text: str) -> str:
    """The text without fenced code blocks and inline code, in which nothing is a link."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def targets(pattern: re.Pattern[str], text: str) -> list[str]:
    """The targets of all links, or of all pictures, in a page."""
    return [one or other for one, other in pattern.findall(without_code(text))]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#{1,6} +(.+?) *#*$", text, flags=re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in plain}


def test_the_table_of_settings_is_current() -> None:
    text = SETTINGS.read_text()
    assert text == with_generated_part(text, "settings", settings_table())


def test_the_help_text_is_current() -> None:
    text = COMMANDS.read_text()
    assert text == with_generated_part(text, "help", help_text())


def test_links_and_pictures_lead_to_files_and_headings() -> None:
    links = [
        (page, target)
        for page in PAGES
        for target in targets(LINK, page.read_text()) + targets(PICTURE, page.read_text())
    ]
    assert len(links) > len(PAGES), "they are found"
    assert [f"{page.name}: {target}" for page, target in links if leads_nowhere(page, target)] == []


def leads_nowhere(page: Path, target: str) -> bool:
    """Whether the file of a link, or the heading in it, is missing; other sites are not asked."""
    if re.match(r"[a-z]+:", target):
        return False
    name, _, anchor = target.partition("#")
    path = page.parent / name if name else page
    return not path.is_file() or bool(anchor and anchor not in anchors(path))


def test_paths_of_the_repository_exist() -> None:
    paths = [(page, path) for page in PAGES for path in REPOSITORY_PATH.findall(page.read_text())]
    assert len(paths) > len(PAGES), "they are found"
    assert [f"{page.name}: {path}" for page, path in paths if not (ROOT / path).exists()] == []


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {target.partition("#")[0] for target in targets(LINK, README.read_text())}
    pages = {str(page.relative_to(ROOT)) for page in PAGES if page != README}
    assert pages <= linked


def test_the_readme_is_short() -> None:
    text = README.read_text()
    assert len(text.split()) <= MAX_README_WORDS
    assert len(targets(PICTURE, text)) <= MAX_README_PICTURES


def test_the_readme_has_the_test_command_that_continuous_integration_runs() -> None:
    lines = README.read_text().splitlines()
    assert [line for line in lines if line.endswith(" && pytest")] == [
        'pip install ".[dev]" && pytest'
    ]


def test_named_experiments_are_valid_and_give_their_command(subtests: pytest.Subtests) -> None:
    for path in CONFIGS:
        with subtests.test(path.name):
            merge((path.name, read_config(path)))
            assert f"vae train --config configs/{path.name}" in path.read_text()


def test_the_table_of_results_has_what_was_measured_and_nothing_else(
    subtests: pytest.Subtests,
) -> None:
    for experiment in list_experiments():
        with subtests.test(experiment.name):
            require_row_of_results(experiment)


def require_row_of_results(experiment: Experiment) -> None:
    """A measured figure is the mean of the evaluations that are kept beside the config."""
    start = f"| [{experiment.name}]("
    (row,) = [line for line in RESULTS.read_text().splitlines() if line.startswith(start)]
    expected, measured = (cell.strip() for cell in row.split("|")[3:5])
    claims = experiment.published.claims
    assert expected == ("; ".join(map(describe_claim, claims)) or "nothing by itself")
    kept = sorted((ROOT / "configs" / experiment.name).glob("**/evaluation.json"))
    assert (measured == "not run here") == (not kept)
    assert len(kept) in {0, len(experiment.variants)}
    figures = [json.loads(path.read_text())["figures"] for path in kept]
    for name in {claim.figure for claim in claims} if kept else ():
        mean = sum(one[name]["value"] for one in figures) / len(figures)
        assert f"{name} {mean:.2f}" in measured
    assert all(path.with_name("metrics.csv").is_file() for path in kept)


def test_the_default_experiment_is_the_default() -> None:
    tables = tomllib.loads((ROOT / "configs/fashion-mnist.toml").read_text())
    assert merge(("file", tables)) == Config()


def test_the_likelihood_of_the_contributing_page_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its two files, as they stand on the page: a density, whose samples have their shape."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    source, setting = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    module = ModuleType("vae_cli.model.likelihoods.student")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(source, "student.py", "exec"), vars(module))
    page = dict(vars(likelihoods))
    exec(compile(setting, "likelihoods.py", "exec"), page)
    chosen = page["Student"](degrees=3)
    assert (chosen.name, chosen.degrees) == ("student", 3)
    likelihood = chosen.build(ImageCodec())
    x = torch.linspace(-400, 400, 800_001).view(-1, 1, 1, 1)
    density = likelihood(torch.zeros(1, 1, 1, 1).expand_as(x)).log_prob(x).double().exp()
    assert density.sum().item() * 1e-3 == pytest.approx(1, abs=1e-4)
    images = likelihood(torch.zeros(2, 5, 1, 4, 4))
    assert images.sample(Noise(0)).shape == (2, 5, 1, 4, 4)


if __name__ == "__main__":
    for page, name, part in (
        (SETTINGS, "settings", settings_table()),
        (COMMANDS, "help", help_text()),
    ):
        page.write_text(with_generated_part(page.read_text(), name, part))
