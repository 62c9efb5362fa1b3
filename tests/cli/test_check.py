"""`vae check`, and `vae train --dry-run`."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import torch
from support import Refused, Use

from vae_cli import load
from vae_cli.cli._errors import PACKAGES
from vae_cli.cli._training import to_time
from vae_cli.cli.commands import check

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_check_names_versions_device_cache_and_extras(use: Use, cache: Path) -> None:
    facts = json.loads(use("check", "--json").out)
    assert facts["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert facts["cache"]["folder"] == str(cache)
    assert facts["step_milliseconds"]["float32"] > 0
    shown = use("check", "--no-measure").out
    topics = [line.split()[0] for line in shown.splitlines()]
    assert topics == ["vae", "packages", "device", "cache", *check.EXTRAS]


def test_missing_extras_have_the_line_that_installs_them(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(check.EXTRAS, "plot", (("numpy", "no_such_module"), "maps"))
    shown = use("check", "--no-measure").out
    assert "maps: missing no_such_module: pip install 'vae-cli[plot]'" in shown


def test_a_cache_that_cannot_be_used_is_reported(
    use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "file/cache"))
    assert re.search(
        r"^cache +cannot make .*; set VAE_DATA", use("check", "--no-measure").out, re.M
    )


def test_the_extras_are_those_of_the_package() -> None:
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    known = {
        name: {PACKAGES.get(module, module) for module in modules}
        for name, (modules, _) in check.EXTRAS.items()
    }
    declared = {
        name: {re.split("[>=]", requirement)[0] for requirement in requirements}
        for name, requirements in extras.items()
        if name != "dev"
    }
    assert known == declared


def test_both_precisions_are_compared_where_the_processor_has_them() -> None:
    text = check.describe_times({"float32": 4.0, "bfloat16": 3.0})
    assert text.startswith(
        "float32 4.00 ms, bfloat16 3.00 ms for a step of the default network (75 %)"
    )
    assert check.describe_times({}) == ""


# ------------------------------------------------------------------- the dry run


@pytest.mark.slow
def test_a_dry_run_says_what_a_training_needs_and_leaves_no_run(use: Use, here: Path) -> None:
    words = ("train", "--limit", 2048, "--epochs", 2, "--precision", "float32", "--dry-run")
    facts = json.loads(use(*words, "--json").out)
    model = load("small").model
    assert facts["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert facts["parameter_bytes"] == 16 * facts["parameters"]
    assert (facts["train"], facts["test"], facts["steps_per_epoch"]) == (2048, 2048, 16)
    assert facts["seconds_per_epoch"] == pytest.approx(16 * facts["seconds_per_step"])
    assert facts["settings"]["model"]["network"] == "mlp"
    said = use(*words)
    assert re.search(r"^data +fashion-mnist, images of 28x28 grey: 2,048 to train on", said.out)
    assert said.err == "this was a dry run: no run was made\n"
    assert [path.name for path in here.rglob("*")] == ["runs", "small"]


@pytest.mark.slow
def test_the_estimate_is_the_time_of_an_epoch_within_a_factor_of_two(use: Use) -> None:
    words = ("train", "--epochs", 2, "--limit", 20_000, "--json")
    expected, measured = [], []
    for _ in range(3):  # alternating, and the least of each counts, because other programs run too
        expected.append(json.loads(use(*words, "--dry-run").out)["seconds_per_epoch"])
        measured += [epoch["seconds"] for epoch in json.loads(use(*words).out)["epochs"]]
    assert 0.5 < min(expected) / min(measured) < 2


def test_a_dry_run_finds_what_a_training_would_refuse(refused: Refused) -> None:
    line = refused("train", "--hidden", "65536,65536", "--dry-run")
    assert "GiB to train" in line
    assert refused("train", "--resume", "--dry-run").startswith("--dry-run has no effect here")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.004, "4.0 ms"),
        (0.2, "200 ms"),
        (1.04, "1.0 s"),
        (59, "59 s"),
        (90, "1.5 min"),
        (36_000, "10 h"),
    ],
)
def test_times_have_the_unit_that_fits(seconds: float, text: str) -> None:
    assert to_time(seconds) == text
