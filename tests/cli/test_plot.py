"""`vae plot`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support import Refused, Use


@pytest.fixture
def two(here: Path, home: Path) -> Path:
    """The run `small`, and `other` with another beta."""
    shutil.copytree(home / "runs/small", here / "runs/other")
    config = here / "runs/other/config.toml"
    config.write_text(config.read_text().replace("beta = 1.0", "beta = 2.0"))
    return here


def test_the_newest_run_is_plotted_by_default(use: Use) -> None:
    assert use("plot").out == "curves.png\n"
    with Image.open("curves.png") as picture:
        assert min(picture.size) > 500


def test_several_runs_are_chosen_by_pattern(two: Path, use: Use) -> None:
    said = json.loads(use("plot", "sm", "oth*", "-o", "a.svg", "--json").out)
    assert said["output"] == "a.svg"
    labels = [(line["label"], line["runs"]) for line in said["lines"]]
    assert labels == [("beta 1", ["small"]), ("beta 2", ["other"])]
    assert Path("a.svg").read_text().lstrip().startswith("<?xml")


def test_the_plane_of_rate_and_distortion(two: Path, use: Use) -> None:
    said = json.loads(use("plot", "*", "--rate-distortion", "--json").out)
    header, *rows = Path("runs/small/metrics.csv").read_text().splitlines()
    row = dict(zip(header.split(","), rows[-1].split(","), strict=True))
    point = said["lines"][0]
    assert point["rate"] == {"mean": float(row["test_kl"]), "std": None, "n": 1}
    assert point["distortion"]["mean"] == float(row["test_mse"])
    with Image.open("curves.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-o", "a.eps"], "--output a.eps: end the name with .png, .svg or .pdf"),
        (["--from", "3"], "--from 3: these runs have 2 epochs"),
        (["--from", "2", "--rate-distortion"], "--from has no effect here"),
        (["smell"], "no run smell: did you mean small?"),
    ],
)
def test_what_cannot_be_plotted_is_one_line(
    here: Path, refused: Refused, words: list[str], line: str
) -> None:
    assert refused("plot", *words).startswith(line)


def test_plotting_imports_no_torch(here: Path) -> None:
    script = (
        "import sys; from vae_cli.cli._app import main; code = main(['plot'])\n"
        "sys.exit(code or 3 * ('torch' in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
