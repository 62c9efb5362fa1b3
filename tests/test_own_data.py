"""The real commands on data that this project did not make: photographs, digits, tables."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Use, call
from pictures import digits, patches, table
from PIL import Image

from vae_cli import build, config
from vae_cli.cli import main
from vae_cli.data import gather

QUICK = ["--epochs", "2", "--batch-size", "32"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    return tmp_path


def size(name: str) -> tuple[str, tuple[int, int]]:
    with Image.open(name) as image:
        return image.mode, image.size


def test_a_folder_of_photographs_through_every_command(here: Path, use: Use) -> None:
    patches(here / "photos", stride=128)
    out, err = use("train", "--data", "photos", "--image-size", 24, *QUICK, "--name", "p")
    assert "images of 24x24 RGB" in err
    assert "conv" in err
    settings = config.read(here / "runs/p/config.toml")
    assert settings["data"]["name"] == str(here / "photos")
    assert settings["model"]["network"] == "conv"
    assert size("runs/p/samples.png")[0] == "RGB"
    use("sample", "-n", 6, "--columns", 3, "--scale", 1)
    assert size("sample.png") == ("RGB", (3 * 25 + 1, 2 * 25 + 1))
    out, _ = use("reconstruct", "photos/china", "--scale", 1, "--json")
    found = json.loads(out)["images"]
    assert len(found) == len(list((here / "photos/china").iterdir()))
    use("traverse", "photos/flower/000-000.jpg", "--dim", 0, "--dim", 3, "--scale", 1)
    assert size("traverse.png") == ("RGB", (13 * 25 + 1, 2 * 25 + 1))
    out, _ = use("data", "--data", "photos")
    assert "china" in out
    assert "flower" in out


def test_a_model_is_of_use_when_its_data_are_gone(here: Path, use: Use) -> None:
    patches(here / "photos", stride=200)
    use("train", "--data", "photos", "--image-size", 16, *QUICK)
    one = here / "one.jpg"
    (here / "photos/china/000-000.jpg").rename(one)
    (here / "photos").rename(here / "elsewhere")
    use("sample", "-n", 4)
    use("reconstruct", one)
    assert main(["reconstruct"]) == 2


def test_added_pictures_are_named_when_a_run_goes_on(
    here: Path, use: Use, capfd: pytest.CaptureFixture[str]
) -> None:
    patches(here / "photos", stride=128)
    use("train", "--data", "photos", "--image-size", 16, *QUICK, "--name", "p")
    use("train", "--resume", "p", "--epochs", 3)
    Image.new("RGB", (64, 64)).save(here / "photos/china/new.png")
    assert main(["train", "--resume", "p", "--epochs", "4"]) == 2
    assert "its data have changed" in capfd.readouterr().err


def test_digits_from_an_array_file(here: Path, use: Use) -> None:
    out, err = use("train", "--data", digits(here / "digits.npz"), *QUICK, "--latent-dim", 4)
    assert "images of 16x16 grey" in err
    out, _ = use("reconstruct", "-n", 3, "--json")
    assert len(json.loads(out)["images"]) == 3
    np.save(here / "some.npy", np.load(here / "digits.npz")["images"][:5])
    out, _ = use("reconstruct", "some.npy", "--json")
    assert len(json.loads(out)["images"]) == 5
    out, _ = use("data", "--data", "digits.npz", "--json")
    assert sum(row["train"] + row["test"] for row in json.loads(out)["classes"]) == 1797


@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_a_table_comes_back_with_its_names_and_units(here: Path, use: Use, name: str) -> None:
    source = table(here / "t.csv", name)
    columns, rows = read(source)
    _, err = use("train", "--data", "t.csv", "--epochs", 60, "--name", "t")
    assert f"rows of {len(columns)} columns" in err
    assert "train_nll" in (here / "runs/t/metrics.csv").read_text()
    use("sample", "-n", 400, "-o", "new.csv", "--seed", 1)
    names, drawn = read(here / "new.csv")
    assert names == columns
    assert len(drawn) == 400
    spread = rows.std(0)
    assert (np.abs(drawn.mean(0) - rows.mean(0)) < 0.5 * spread).all()
    assert (np.abs(np.log(drawn.std(0) / spread)) < 0.7).all()
    out, _ = use("reconstruct", "t.csv", "--json")
    made = read(here / "reconstruct.csv")[1]
    assert made.shape == rows.shape
    correlation = [np.corrcoef(made[:, n], rows[:, n])[0, 1] for n in range(len(columns))]
    assert np.median(correlation) > 0.6
    use("traverse", "--dim", 0, "--offset", "-1:2:1")
    names, walked = read(here / "traverse.csv")
    assert names == ["dimension", "offset", *columns]
    assert walked[:, 1].tolist() == [-1, 0, 1]
    out, _ = use("data", "--data", "t.csv")
    assert columns[0] in out


def test_a_class_of_few_pictures_does_not_shift_those_below_it(here: Path, use: Use) -> None:
    for name, grey, count in (("a", 10, 9), ("b", 120, 2), ("c", 250, 9)):
        (here / "all" / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (16, 16), grey).save(here / "all" / name / f"{number}.png")
    use("data", "--data", "all", "--scale", 1, "--columns", 4)
    with Image.open("data.png") as picture:
        edge = picture.width - 4 * 17
        rows = [
            [picture.getpixel((edge + 17 * n + 4, 17 * m + 8)) for n in range(4)] for m in range(3)
        ]
    assert rows == [[10] * 4, [120, 120, 40, 40], [250] * 4]


def test_the_order_of_a_tables_columns_does_not_matter(here: Path, use: Use) -> None:
    names, rows = read(table(here / "t.csv", "wine"))
    use("train", "--data", "t.csv", "--epochs", 5)
    np.savetxt(
        "turned.csv", rows[:, ::-1], delimiter=",", header=",".join(names[::-1]), comments=""
    )
    np.savetxt("bare.csv", rows, delimiter=",")
    made = []
    for name in ("t.csv", "turned.csv", "bare.csv"):
        use("reconstruct", name, "-o", "out.csv")
        made.append((here / "out.csv").read_bytes())
    assert made[0] == made[1] == made[2]


def read(path: Path) -> tuple[list[str], np.ndarray]:
    with path.open(newline="") as file:
        lines = list(csv.reader(file))
    return lines[0], np.array(lines[1:], dtype=float)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["sample", "-o", "x.png"], "this model makes rows of a table; end it with .csv"),
        (["reconstruct", "photo.png"], "give a .csv, .tsv or .npy file of rows"),
        (["reconstruct", "narrow.csv"], "lacks alcohol: the model learned 13 columns"),
        (["train", "--data", "t.csv", "--model", "conv"], "not vectors: try mlp"),
        (["train", "--data", "missing.csv"], "missing.csv does not exist"),
        (["train", "--data", "empty"], "empty: looked for .png"),
        (["data", "--data", "t.csv", "-o", "x.png"], "a table of numbers has no picture"),
    ],
)
def test_what_does_not_fit_is_one_line(
    here: Path, use: Use, capfd: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    table(here / "t.csv", "wine")
    Image.new("L", (9, 9)).save(here / "photo.png")
    (here / "narrow.csv").write_text("a,b\n1,2\n")
    (here / "empty").mkdir()
    use("train", "--data", "t.csv", "--epochs", 1)
    assert main(words) == 2
    err = capfd.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert reason in err


def test_a_table_learns_the_same_twice_and_after_a_stop(here: Path, use: Use) -> None:
    table(here / "t.csv", "wine")
    flat = ["--schedule", "constant", "--set", "optimizer.warmup=0"]
    for name, epochs in (("a", 6), ("b", 3)):
        use("train", "--data", "t.csv", "--epochs", epochs, "--name", name, *flat)
    use("train", "--resume", "b", "--epochs", 6)
    a, b = ((here / f"runs/{name}/samples.csv").read_bytes() for name in "ab")
    assert a == b


def test_the_shapes_are_there_without_a_file(use: Use) -> None:
    _, err = use("train", "--data", "shapes", "--limit", 64, "--epochs", 1, "--model", "mlp")
    assert "images of 64x64 grey" in err
    settings = config.resolve(("", {"data": {"name": "shapes"}}))
    split = build.dataset(settings.data).test()
    assert gather(split.items, split.rows[:9]).amax() == 1
    assert torch.is_tensor(split.labels)


def test_what_cannot_be_read_is_said_where_it_matters(here: Path) -> None:
    patches(here / "photos", stride=128)
    (here / "photos/china/broken.jpg").write_bytes(b"no picture")
    words = {
        ("data", "--data", "photos"): True,
        ("train", "--data", "photos", "--image-size", 16, *QUICK): True,
        ("reconstruct",): False,
        ("data", "--data", "photos", "--quiet"): False,
    }
    for line, told in words.items():
        done = call(*line, cwd=here)
        assert done.returncode == 0, done.stderr
        assert ("pictures cannot be read" in done.stderr) == told, line
