"""Several commands, one after another, on data of other people: photographs, digits, tables."""

import csv
import json
import shutil
import tomllib
import warnings
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from pictures import digits, patches, table
from PIL import Image
from support import Refused, Use

from vae_cli import load
from vae_cli.cli._app import main

QUICK = ["--epochs", 2, "--batch-size", 32, "--precision", "float32"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, made the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mode_and_size(name: str) -> tuple[str, tuple[int, int]]:
    with Image.open(name) as image:
        return image.mode, image.size


def read(path: Path) -> tuple[list[str], np.ndarray]:
    """The columns and the rows of a table."""
    with path.open(newline="") as file:
        lines = list(csv.reader(file))
    return lines[0], np.array(lines[1:], dtype=float)


# ---------------------------------------------------------------- photographs


def test_a_folder_of_photographs_through_every_command(here: Path, use: Use) -> None:
    patches(here / "photos", stride=128)
    _, err = use("train", "--data", "photos", "--image-size", 24, *QUICK, "--name", "p")
    assert "images of 24x24 RGB" in err
    assert "conv with" in err
    assert mode_and_size("runs/p/samples.png")[0] == "RGB"
    use("sample", "-n", 6, "--columns", 3, "--scale", 1)
    assert mode_and_size("sample.png") == ("RGB", (3 * 25 + 1, 2 * 25 + 1))
    out, _ = use("reconstruct", "photos/china", "--scale", 1, "--json")
    found = json.loads(out)["images"]
    assert len(found) == len(list((here / "photos/china").iterdir()))
    use("traverse", "photos/flower/000-000.jpg", "--dim", 0, "--dim", 3, "--scale", 1)
    assert mode_and_size("traverse.png") == ("RGB", (13 * 25 + 1, 2 * 25 + 1))
    use("interpolate", "photos/china", "--steps", 3, "--scale", 1)
    assert mode_and_size("interpolate.png") == ("RGB", (5 * 25 + 1, (len(found) - 1) * 25 + 1))
    out, _ = use("data", "--data", "photos")
    assert "china" in out
    assert "flower" in out


def test_a_validation_folder_chooses_the_best_epoch_and_the_test_folder_is_only_reported(
    here: Path, use: Use, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, count, first in (("Train", 12, 0), ("val", 5, 40), ("TEST", 3, 80)):
        (here / "photos" / name).mkdir(parents=True)
        for number in range(first, first + count):
            Image.new("L", (16, 16), number).save(here / f"photos/{name}/{number}.png")
    found = json.loads(use("data", "photos", "--json").out)
    assert [found[name] for name in ("train", "validation", "test", "copies")] == [12, 5, 3, 0]
    assert use("data", "photos").out.splitlines()[1].split() == ["all", "12", "5", "3"]
    words = ("train", "--data", "photos", "--model", "mlp", *QUICK, "--name", "p")
    assert main([*map(str, words), "--set", "data.validation=0.1"]) == 2
    assert "photos has a validation set of its own" in capfd.readouterr().err
    assert "best validation loss" in use(*words).err
    columns, _ = read(here / "runs/p/metrics.csv")
    assert {"validation_loss", "test_loss"} & set(columns) == {"validation_loss"}
    run = load("p")
    names = run.data().names(run.held_out())
    assert sorted(names) == ["TEST/80.png", "TEST/81.png", "TEST/82.png"]
    shown = json.loads(use("reconstruct", "-n", 3, "--run", "p", "--json").out)["images"]
    assert [record["image"] for record in shown] == names
    use("embed", "--run", "p")
    parts = np.load("embed.npz")["part"].tolist()
    assert parts == ["train"] * 12 + ["validation"] * 5 + ["test"] * 3


def test_test_pictures_are_named_by_their_paths_whatever_the_likelihood_is(
    here: Path, use: Use, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(24):
        (here / f"photos/{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), 10 * number).save(here / f"photos/{number % 2}/{number}.png")
    words = ("--data", "photos", "--test-fraction", 0.4, "--likelihood", "binarized")
    use("train", *words, "--model", "mlp", *QUICK, "--name", "p", "-q")
    run = load("p")
    names = run.data().names(run.data().test())
    assert names == run.test_set().names
    shown = json.loads(use("reconstruct", "-n", 3, "--json").out)["images"]
    assert [record["image"] for record in shown] == names[:3]
    classes = [name[0] for name in names]
    found = json.loads(use("swap", "--class", "1", "--class", "0", "--dim", 0, "--json").out)
    expected = [names[classes.index(label)] for label in "10"]
    assert [one["image"] for one in found["items"]] == expected
    use("score", "-o", "score.csv", "-q")
    with Path("score.csv").open(newline="") as file:
        assert {row["name"] for row in csv.DictReader(file)} == set(names)


def test_the_config_of_a_run_on_pictures_has_every_choice_that_was_made(
    here: Path, use: Use
) -> None:
    (here / "photos").mkdir()
    for number in range(40):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(here / f"photos/{number}.png")
    use("train", "--data", "photos", *QUICK, "--name", "p")
    text = (here / "runs/p/config.toml").read_text()
    settings = tomllib.loads(text)
    assert settings["data"]["name"] == str(here / "photos")
    assert (settings["data"]["image_size"], settings["data"]["channels"]) == (16, "rgb")
    assert settings["model"]["network"] == "conv"
    left_open = text.replace('warmup = "auto"', "")  # it depends on the number of steps
    assert "auto" not in left_open


def test_a_model_can_be_used_when_its_data_are_gone(here: Path, use: Use, refused: Refused) -> None:
    patches(here / "photos", stride=128)
    use("train", "--data", "photos", "--image-size", 16, *QUICK)
    one = here / "one.jpg"
    (here / "photos/china/000-000.jpg").rename(one)
    (here / "photos").rename(here / "elsewhere")
    use("sample", "-n", 4)
    use("reconstruct", one)
    assert f"its data ({here / 'photos'}) are not here: if they" in refused("reconstruct")


def test_a_run_whose_data_have_changed_cannot_be_resumed(
    here: Path, use: Use, capfd: pytest.CaptureFixture[str]
) -> None:
    patches(here / "photos", stride=128)
    use("train", "--data", "photos", "--image-size", 16, *QUICK, "--name", "p")
    use("train", "--resume", "p", "--epochs", 3)
    Image.new("RGB", (64, 64)).save(here / "photos/china/new.png")
    assert main(["train", "--resume", "p", "--epochs", "4"]) == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("error: run p cannot go on: its data have changed, from [27, 3] ")


@pytest.mark.filterwarnings("default")
def test_pictures_that_cannot_be_read_are_mentioned_by_the_commands_that_read_the_folder(
    here: Path, use: Use
) -> None:
    patches(here / "photos", stride=128)
    (here / "photos/china/broken.jpg").write_bytes(b"no picture")
    mentioned: dict[tuple[object, ...], bool] = {
        ("data", "--data", "photos"): True,
        ("train", "--data", "photos", "--image-size", 16, *QUICK): True,
        ("reconstruct",): False,
        ("data", "--data", "photos", "--quiet"): False,
    }
    for words, expected in mentioned.items():
        assert ("pictures cannot be read" in use(*words).err) == expected, words


# -------------------------------------------------------------------- arrays


def test_digits_from_an_array_file(here: Path, use: Use) -> None:
    _, err = use("train", "--data", digits(here / "digits.npz"), *QUICK, "--latent-dim", 4)
    assert "images of 16x16 grey" in err
    out, _ = use("reconstruct", "-n", 3, "--json")
    assert len(json.loads(out)["images"]) == 3
    np.save(here / "some.npy", np.load(here / "digits.npz")["images"][:5])
    out, _ = use("reconstruct", "some.npy", "--json")
    assert len(json.loads(out)["images"]) == 5
    out, _ = use("data", "--data", "digits.npz", "--json")
    assert sum(row["train"] + row["test"] for row in json.loads(out)["classes"]) == 1797


# -------------------------------------------------------------------- tables


@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_the_rows_that_a_model_writes_have_the_names_and_units_of_its_table(
    here: Path, use: Use, name: str
) -> None:
    columns, rows = read(table(here / "t.csv", name))
    words = ("train", "--data", "t.csv", "--epochs", 60, "--precision", "float32")
    _, err = use(*words, "--name", "t")
    assert f"rows of {len(columns)} columns" in err
    assert "train_nll" in (here / "runs/t/metrics.csv").read_text()
    use("sample", "-n", 400, "-o", "new.csv", "--seed", 1)
    names, drawn = read(here / "new.csv")
    assert names == columns
    assert len(drawn) == 400
    spread = rows.std(0)
    assert (np.abs(drawn.mean(0) - rows.mean(0)) < 0.5 * spread).all()
    assert (np.abs(np.log(drawn.std(0) / spread)) < 0.7).all()
    use("reconstruct", "t.csv", "--json")
    names, made = read(here / "reconstruct.csv")
    assert names == columns
    assert made.shape == rows.shape
    correlation = [np.corrcoef(made[:, n], rows[:, n])[0, 1] for n in range(len(columns))]
    assert np.median(correlation) > 0.6
    use("traverse", "--dim", 0, "--offset", "-1:2:1")
    names, shifted = read(here / "traverse.csv")
    assert names == ["dimension", "offset", *columns]
    assert shifted[:, 1].tolist() == [-1, 0, 1]
    out, _ = use("data", "--data", "t.csv")
    assert columns[0] in out


def test_a_training_on_a_table_in_two_parts_is_the_same_as_in_one(here: Path, use: Use) -> None:
    table(here / "t.csv", "wine")
    flat = ("--schedule", "constant", "--set", "optimizer.warmup=0", "--precision", "float32")
    for name, epochs in (("a", 6), ("b", 3)):
        use("train", "--data", "t.csv", "--epochs", epochs, "--name", name, *flat)
    use("train", "--resume", "b", "--epochs", 6)
    a, b = ((here / f"runs/{name}/samples.csv").read_bytes() for name in "ab")
    assert a == b


# -------------------------------------------------------------------- shapes


def test_the_shapes_need_no_file(use: Use) -> None:
    words = ("train", "--data", "shapes", "--limit", 64, "--epochs", 1, "--model", "mlp")
    _, err = use(*words, "--precision", "float32")
    assert "images of 64x64 grey" in err


# ------------------------------------------------- contents that change, and places


@pytest.fixture(scope="module")
def noise_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with labelled images and a run on them that was trained for two epochs."""
    folder = tmp_path_factory.mktemp("noise")
    images = np.random.default_rng(0).integers(0, 256, (1200, 8, 8), np.uint8)
    np.savez(folder / "x.npz", images=images, labels=np.arange(1200) % 2)
    words = ["--data", "x.npz", "--hidden", 8, "--latent-dim", 2, *QUICK, "--name", "x", "-q"]
    with chdir(folder):
        assert main(list(map(str, ["train", *words]))) == 0
    return folder


@pytest.fixture
def noise(noise_home: Path, here: Path) -> Path:
    """A folder of its own, made the current one, with a copy of the run, and of its data."""
    shutil.copytree(noise_home / "runs", here / "runs")
    shutil.copy(noise_home / "x.npz", here / "moved.npz")
    return here


@pytest.fixture
def changed(noise_home: Path) -> Iterator[None]:
    """The data of the run with another last item."""
    path = noise_home / "x.npz"
    kept = path.read_bytes()
    with np.load(path) as found:
        images, labels = found["images"], found["labels"]
    images[-1, 0, 0] ^= 1
    np.savez(path, images=images, labels=labels)
    yield
    path.write_bytes(kept)


@pytest.mark.usefixtures("changed", "noise")
def test_every_command_says_once_that_the_contents_have_changed(use: Use, refused: Refused) -> None:
    expected = "have changed since its training: items that it was trained on may count as held out"
    commands = [
        ("evaluate", "--samples", 2),
        ("score", "-o", "score.csv"),
        ("embed",),
        ("reconstruct",),
        ("traverse",),
        ("interpolate",),
        ("swap",),
        ("explore", "--export", "x.html"),
    ]
    for words in commands:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            assert use(*words, "--run", "x").err.count(expected) == 1, words
    assert expected in use("embed", "--run", "x", "--quiet").err
    assert not Path("runs/x/evaluation.json").exists(), "the figures are not those of the run"
    assert json.loads(Path("runs/x/evaluation-x.json").read_text())["data_digest"] == ""
    assert refused("sample", "--sampler", "gmm", "--run", "x").endswith("they have changed")


def test_a_run_goes_on_with_data_that_have_moved(noise: Path, use: Use, refused: Refused) -> None:
    words = ("train", "--resume", "x", "--epochs", 3, "-q")
    np.save("other.npy", np.random.default_rng(1).integers(0, 256, (1200, 8, 8), np.uint8))
    assert "cannot go on: " in refused(*words, "--data", "other.npy")
    weights = load("x", "cpu").weights_digest
    use(*words, "--data", "moved.npz")
    model = load("x", "cpu")
    assert model.settings.data.name == str(noise / "moved.npz")
    assert model.data_name == model.settings.data.name, "commands read the new place"
    assert model.epoch == 3 or model.weights_digest == weights
    Path("moved.npz").unlink()
    line = refused("train", "--resume", "x", "--epochs", 4)
    assert line.startswith("run x: its data (")
    assert line.endswith("are not here: if they have moved, name their place with --data")
