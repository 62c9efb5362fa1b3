"""`vae train --start-from`: the weights of another run, with other settings or data."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import Refused, Use
from torch import Tensor

import vae_cli
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run
from vae_cli.runs.start import MEASURED

STILL = ("--learning-rate", "1e-9")  # nothing is learned, so the weights stay as they start


def weights(name: str, file: str = "best") -> dict[str, Tensor]:
    """The weights of a run in the current folder."""
    run = Run(Path("runs", name))
    return load_checkpoint(run.best if file == "best" else run.last).group("state.model")


def assert_same_weights(name: str, other: str) -> None:
    """Check that two runs have the same weights, but for the scaling of columns."""
    found, expected = weights(name, "last"), weights(other)
    assert found.keys() == expected.keys()
    for key in found:
        if not key.startswith(MEASURED):
            torch.testing.assert_close(found[key], expected[key], rtol=0, atol=1e-5)


@pytest.fixture
def base(use: Use) -> Use:
    """A run named base, of drawn shapes."""
    sizes = ("--data", "shapes-32", "--limit", 300, "--model", "mlp", "--hidden", 16)
    use("train", *sizes, "--latent-dim", 3, "--epochs", 2, "--name", "base", "-q")
    return use


def test_a_training_starts_from_the_weights_and_has_the_data_and_the_model_of_the_run(
    base: Use,
) -> None:
    base("train", "--start-from", "base", "--name", "fine", "--epochs", 1, *STILL, "-q")
    assert_same_weights("fine", "base")
    settings = vae_cli.load("fine").settings
    assert (settings.data.name, settings.data.limit) == ("shapes-32", 300)
    assert settings.model.hidden == (16,)
    assert (settings.training.start, settings.training.epochs) == ("base", 1)


def test_the_objective_and_the_moving_average_are_new(base: Use) -> None:
    bound = ("--objective", "iwae", "--set", "objective.samples=3", "--set", "optimizer.ema=0.9")
    base("train", "--start-from", "base", *bound, "--name", "fine", "--epochs", 1, *STILL, "-q")
    assert_same_weights("fine", "base")
    average = load_checkpoint(Run(Path("runs/fine")).last).group("state.average")
    assert average.keys() == weights("base").keys() - {"prior.mean"}
    for name, tensor in average.items():
        torch.testing.assert_close(tensor, weights("base")[name], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_run_goes_on_without_the_run_that_it_started_from(base: Use) -> None:
    for name in ("whole", "parts"):
        epochs = 3 if name == "whole" else 2
        base(
            *("train", "--start-from", "base", "--name", name, "--epochs", epochs),
            *("--schedule", "constant", "--set", "optimizer.warmup=0", "-q"),
        )
    shutil.rmtree("runs/base")
    base("train", "--resume", "parts", "--epochs", 3, "-q")
    for name, tensor in weights("whole", "last").items():
        assert tensor.equal(weights("parts", "last")[name]), name


def test_the_scaling_of_columns_is_that_of_the_new_table(use: Use) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    np.save("one.npy", rows)
    np.save("other.npy", 10 * rows + 5)
    use("train", "--data", "one.npy", "--latent-dim", 2, "--epochs", 1, "--name", "base", "-q")
    use(
        *("train", "--start-from", "base", "--data", "other.npy", "--name", "fine"),
        *("--epochs", 1, *STILL, "-q"),
    )
    assert_same_weights("fine", "base")
    other = torch.from_numpy(np.load("other.npy")).double()
    knots = weights("fine")["codec.scores.values"]
    for value in (knots.min(), knots.max()):
        assert torch.isclose(value, other).any(), "a row to train on has it"


@pytest.mark.slow
def test_settings_of_a_folder_are_not_those_of_an_array(use: Use) -> None:
    """The size, the channels and the rules of the pictures stay with their folder."""
    items = np.random.default_rng(0).integers(0, 256, (60, 16, 16), np.uint8)
    Path("photos").mkdir()
    for number, item in enumerate(items):
        Image.fromarray(item).save(f"photos/{number}.png")
    shutil.copytree("photos", "more")
    np.save("items.npy", items)
    sizes = ("--model", "mlp", "--hidden", 8, "--latent-dim", 2, "--epochs", 1, "-q")
    use("train", "--data", "photos", "--set", "data.rules=1", *sizes, "--name", "base")
    for data, rules in (("items.npy", 3), ("more", 3), ("./photos", 1)):
        name = Path(data).stem
        use("train", "--start-from", "base", "--data", data, "--epochs", 1, "--name", name, "-q")
        assert vae_cli.load(name).settings.data.rules == rules


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--latent-dim", 4), "model.latent_dim is 3, not 4"),
        (("--data", "fashion-mnist"), "they are for items of 1x32x32, not 1x28x28"),
        (("--set", "model.activation=tanh"), "model.activation is relu, not tanh"),
        (("--set", "model.bounded=true"), "model.bounded is False, not True"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_there_is_a_run(
    base: Use, refused: Refused, words: tuple[object, ...], reason: str
) -> None:
    before = set(Path("runs").iterdir())
    error = refused("train", "--start-from", "base", *words)
    assert error == f"--start-from base: its weights do not fit: {reason}"
    assert set(Path("runs").iterdir()) == before
    assert base


def test_weights_for_the_same_columns_in_another_order_are_refused(
    wine: Path, refused: Refused
) -> None:
    header, *rows = Path("wine.csv").read_text().splitlines()
    first, *rest = header.split(",")
    lines = [f"{','.join([*rest, first])}\n"]
    for row in rows:
        value, *others = row.split(",")
        lines.append(f"{','.join([*others, value])}\n")
    Path("turned.csv").write_text("".join(lines))
    error = refused("train", "--start-from", "wine", "--data", "turned.csv")
    assert error.startswith(
        "--start-from wine: its weights do not fit: they are for the same columns"
    )


def test_a_run_that_does_not_exist_is_refused(base: Use, refused: Refused) -> None:
    assert refused("train", "--start-from", "bass") == "no run bass: did you mean base?"
    assert base


@pytest.mark.slow
def test_the_whole_name_of_the_run_is_kept(base: Use) -> None:
    for number, typed in enumerate(("ba", "runs/base", "runs/base/best.safetensors")):
        name = f"fine-{number}"
        base("train", "--start-from", typed, "--name", name, "--epochs", 1, *STILL, "-q")
        assert vae_cli.load(name).settings.training.start == "base", typed


def test_a_sweep_starts_from_a_run(base: Use) -> None:
    base("sweep", "beta=1,2", "--start-from", "base", "--name", "s", "--epochs", 1, *STILL, "-q")
    assert_same_weights("s-beta-1", "base")
    assert_same_weights("s-beta-2", "base")


def test_python_starts_from_a_run_too(base: Use) -> None:
    vae_cli.train(
        {"training": {"start": "base", "epochs": 1}, "optimizer": {"learning_rate": 1e-9}},
        name="fine",
    )
    assert_same_weights("fine", "base")
    assert base
