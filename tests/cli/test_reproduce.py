"""`vae reproduce` as a user runs it, and the named experiments for one epoch."""

import json
import os
import signal
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
from support import VAE, Refused, Use, call

from vae_cli.cli._app import main
from vae_cli.runs.directory import Run, locked
from vae_cli.settings import named_configs
from vae_cli.settings.experiments import list_experiments

BASE = """
[data]
name = "images.npy"
[model]
hidden = [16]
latent_dim = 2
[training]
epochs = {epochs}
precision = "float32"
[published]
source = "a paper"
protocol = "as there"
samples = {samples}
seeds = {seeds}
claims = [{claims}]
"""
NUMBER = '{ figure = "elbo", expected = -100, tolerance = 100 }'
STAND_IN = ("--data", "fashion-mnist")  # for data that would have to be downloaded
QUICK = {"article", "burda-mnist-iwae-5", "exemplar-hvae", "sigma-vae"}  # one of each kind


def write(
    name: str,
    claims: str,
    *,
    samples: int = 5,
    seeds: str = "[]",
    epochs: int = 1,
    items: int = 300,
) -> None:
    """A config file, and the images that it is about."""
    images = np.random.default_rng(0).integers(0, 256, (items, 12, 12), np.uint8)
    np.save("images.npy", images)
    text = BASE.format(claims=claims, samples=samples, seeds=seeds, epochs=epochs)
    Path(f"{name}.toml").write_text(text)


def test_a_number_is_trained_evaluated_and_judged_once(use: Use) -> None:
    write("mine", NUMBER)
    lines = use("reproduce", "mine.toml").out.splitlines()
    assert lines[0].startswith("1/1 mine  kl ")
    assert lines[1].startswith("mine: holds: elbo -")
    assert " against -100.00 ± 100.00, difference " in lines[1]
    files = [Path("runs/mine", name) for name in ("best.safetensors", "evaluation.json")]
    times = [file.stat().st_mtime_ns for file in files]
    again = use("reproduce", "mine.toml").out.splitlines()
    assert again[0] == f"{lines[0].rpartition('  ')[0]}  finished before"
    assert again[1] == lines[1]
    assert [file.stat().st_mtime_ns for file in files] == times
    write("mine", NUMBER, samples=6)
    (verdict,) = json.loads(use("reproduce", "mine.toml", "--json").out)["mine"]
    assert (verdict["expected"], verdict["tolerance"], verdict["holds"]) == (-100, 100, True)
    assert json.loads(files[1].read_text())["samples"] == 6, "evaluated anew"
    assert files[0].stat().st_mtime_ns == times[0], "but not trained"


def test_an_evaluation_of_other_weights_data_or_seed_is_not_taken(use: Use) -> None:
    write("mine", NUMBER)
    use("reproduce", "mine.toml")
    file = Path("runs/mine/evaluation.json")
    right = json.loads(file.read_text())
    for key, value in [("weights", "0"), ("data_digest", "0"), ("seed", 1), ("images", 100)]:
        wrong = {**right, key: value}
        wrong["figures"]["elbo"]["value"] = 0.0
        file.write_text(json.dumps(wrong))
        use("reproduce", "mine.toml")
        assert json.loads(file.read_text())[key] == right[key], "evaluated anew"
        assert json.loads(file.read_text())["figures"]["elbo"]["value"] < 0


def test_a_run_on_other_contents_is_not_taken_for_the_experiment(
    use: Use, capfd: pytest.CaptureFixture[str]
) -> None:
    write("mine", NUMBER)
    use("reproduce", "mine.toml")
    np.save("images.npy", 255 - np.load("images.npy"))
    assert main(["reproduce", "mine.toml"]) == 2
    assert "run mine exists with other data: the contents of " in capfd.readouterr().err


def test_a_number_that_does_not_hold_is_an_error(
    use: Use, capfd: pytest.CaptureFixture[str]
) -> None:
    write("mine", '{ figure = "elbo", expected = 0, tolerance = 1 }')
    assert main(["reproduce", "mine.toml"]) == 1
    out, err = capfd.readouterr()
    assert "mine: does not hold: elbo -" in out
    assert err.endswith("error: 1 of 1 do not hold: mine\n")


def test_an_order_trains_what_it_needs_and_takes_means_over_seeds(use: Use) -> None:
    write("low", "", seeds="[0, 1]")
    write("high", '{ figure = "elbo", above = ["low.toml"], by = -100 }', seeds="[0, 1]")
    lines = use("reproduce", "high.toml").out.splitlines()
    assert [line.split()[1] for line in lines[:4]] == [
        "low-seed-0",
        "low-seed-1",
        "high-seed-0",
        "high-seed-1",
    ]
    assert lines[4].endswith(" of low.toml, difference +0.00, at least -100 expected")
    assert len(lines) == 5
    last = use("reproduce", "low.toml").out.splitlines()[-1]
    assert last == "low: no number is expected; vae runs shows what it has"


def test_a_run_with_other_settings_is_not_taken_for_the_experiment(
    use: Use, capfd: pytest.CaptureFixture[str]
) -> None:
    write("mine", NUMBER)
    use("reproduce", "mine.toml")
    write("mine", NUMBER, epochs=2)
    assert main(["reproduce", "mine.toml"]) == 2
    expected = "run mine exists with other settings: training.epochs is 1, not 2: rename that run"
    assert expected in capfd.readouterr().err


def test_the_list_has_every_experiment_and_what_is_here(use: Use) -> None:
    use("train", "--config", "sigma-vae", "--limit", 64, "--epochs", 1, "--name", "sigma-vae")
    lines = use("reproduce", "--list").out.splitlines()
    names = [line.split()[0] for line in lines[1:]]
    assert names == [one.name for one in list_experiments()]
    (line,) = [line for line in lines if line.startswith("sigma-vae ")]
    assert "  finished  log_likelihood above sigma-vae-beta-0.001, " in line
    records = json.loads(use("reproduce", "--list", "--json").out)
    assert {one["name"]: one["here"] for one in records}["sigma-vae"] == "finished"
    assert all(one["source"] and one["protocol"] and one["time"] for one in records)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in named_configs()
    ],
)
def test_every_experiment_trains_for_an_epoch(name: str, use: Use) -> None:
    is_mnist = name.startswith(("burda-mnist", "tomczak-mnist"))
    words = ["--limit", 64, "--epochs", 1, *(STAND_IN if is_mnist else ()), "--name", "a"]
    few = ["--set", "prior.components=20"] if name.endswith("-vamp") else []
    start = tomllib.loads(named_configs()[name].read_text())["training"].get("start")
    if start:
        use("train", "--config", start, *words[:-1], start)
    use("train", "--config", name, *words, *few)
    assert len(Path("runs/a/metrics.csv").read_text().splitlines()) == 2


@pytest.mark.slow
def test_after_a_stop_the_same_command_goes_on(here: Path) -> None:
    write("mine", NUMBER, seeds="[0, 1]", items=20_000, epochs=5)
    with subprocess.Popen(
        [VAE, "reproduce", "mine.toml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("1/2 ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith("stopped in run 2/2, mine-seed-1; the same command goes on\n")
    done = call("reproduce", "mine.toml", cwd=here)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("finished before")
    assert lines[-1].startswith("mine: holds: elbo ")


def test_a_number_to_beat_is_said_to_be_one(use: Use) -> None:
    write("mine", '{ figure = "elbo", beats = -500 }')
    line = use("reproduce", "mine.toml").out.splitlines()[1]
    assert line.startswith("mine: holds: elbo -")
    assert " against -500.00, difference +" in line
    assert line.endswith(", a higher one expected")
    (verdict,) = json.loads(use("reproduce", "mine.toml", "--json").out)["mine"]
    assert (verdict["beats"], verdict["holds"]) == (-500, True)


def test_what_an_experiment_starts_from_is_trained_first_and_not_evaluated(use: Use) -> None:
    write("base", NUMBER)
    write("mine", NUMBER)
    text = Path("mine.toml").read_text()
    Path("mine.toml").write_text(text.replace("[training]", '[training]\nstart = "base.toml"'))
    lines = use("reproduce", "mine.toml").out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["1/2", "base"], ["2/2", "mine"]]
    assert not Path("runs/base/evaluation.json").exists()
    assert lines[2].startswith("mine: holds")


def test_an_experiment_does_not_start_from_a_run_that_another_process_is_training(
    use: Use, capfd: pytest.CaptureFixture[str]
) -> None:
    write("base", NUMBER, epochs=2)
    write("mine", NUMBER)
    text = Path("mine.toml").read_text()
    Path("mine.toml").write_text(text.replace("[training]", '[training]\nstart = "base.toml"'))
    use("reproduce", "base.toml")
    run = Run(Path("runs/base"))
    run.reopen()
    with locked(run):
        assert main(["reproduce", "mine.toml"]) == 1
    assert capfd.readouterr().err.endswith(
        "error: mine: run base, from which it starts, is not finished: wait for the process that "
        "trains it, or go on with vae train --resume base\n"
    )
    assert not Path("runs/mine").exists()


def test_an_experiment_that_starts_from_itself_is_refused(here: Path, refused: Refused) -> None:
    write("mine", NUMBER)
    text = Path("mine.toml").read_text()
    Path("mine.toml").write_text(text.replace("[training]", '[training]\nstart = "mine.toml"'))
    assert refused("reproduce", "mine.toml") == "mine starts from itself: change its training.start"
    assert here
