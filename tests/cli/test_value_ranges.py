"""`--range` from the first look at the data to pictures that a trained model gets later."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use

from vae_cli import load
from vae_cli.data.value_range import parse_limits
from vae_cli.errors import UsageError

pytestmark = pytest.mark.filterwarnings("default")  # they are what a user reads
QUICK = ("--epochs", 1, "--image-size", 16, "--model", "mlp", "--precision", "float32", "-q")


def dots(count: int = 40, edge: int = 16) -> np.ndarray:
    """Soft dots on black, from 0 to 1: `(count, edge, edge)`."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:edge, :edge]
    centres = random.uniform(2, edge - 2, (2, count, 1, 1))
    images = np.exp(-((y - centres[0]) ** 2 + (x - centres[1]) ** 2) / 9)
    return images / images.max((1, 2), keepdims=True)


def write_pictures(folder: Path, images: np.ndarray, suffix: str) -> None:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:02}.{suffix}")


KINDS = {
    "floats": ((dots() * 255).astype("f4"), "tif", "0:255"),
    "signed": ((dots() * 2 - 1).astype("f4"), "tif", "-1:1"),
    "twelve-bit": ((dots() * 4095).astype("u2"), "png", "0:4095"),
}


@pytest.mark.parametrize("name", KINDS)
def test_pictures_with_other_values_are_read_with_the_range_that_is_named(
    here: Path, use: Use, refused: Refused, name: str
) -> None:
    images, suffix, limits = KINDS[name]
    write_pictures(here / name, images, suffix)
    if suffix == "tif":
        message = refused("data", name)
        assert message.startswith(f"{name}/00.tif: ")
        assert message.endswith(f"is not in [0, 1]: try --range {limits}")
    else:
        said = use("data", name).err
        assert f"the brightest value is 4095 of 65535: --range {limits} makes it white" in said
    use("data", name, "--range", limits, "--save-example", "example.png")
    with Image.open("example.png") as example:
        assert example.getextrema()[1] == 255
    use("train", "--data", name, "--range", limits, "--name", "r", *QUICK)
    assert tomllib.loads(Path("runs/r/config.toml").read_text())["data"]["range"] == limits
    assert load("r").spec.range == tuple(map(float, limits.split(":")))
    assert "values beyond" not in use("reconstruct", f"{name}/00.{suffix}", "--run", "r").err
    Image.new("L", (16, 16), 77).save("bytes.png")
    said = use("reconstruct", "bytes.png", "--run", "r").err
    hints = {"-1:1": "1 of 1 items have values beyond -1:1", "0:4095": "value is 77 of 4095"}
    assert hints.get(limits, "") in said
    use("embed", "--run", "r", "-q")
    use("train", "--resume", "r", "--epochs", 2, "-q")


def test_a_measured_range_is_kept_as_numbers(here: Path, use: Use) -> None:
    np.save("x.npy", dots() * 3000 - 1000)
    use("train", "--data", "x.npy", "--range", "data", "--name", "r", "--epochs", 1, "-q")
    low, high = load("r").spec.range or (0, 0)
    assert -1000 <= low < -990
    assert high == 2000
    text = Path("runs/r/config.toml").read_text()
    assert parse_limits(tomllib.loads(text)["data"]["range"]) == (low, high)
    use("train", "--config", "runs/r/config.toml", "--name", "again", "-q")
    assert (
        Path("runs/again/metrics.csv").read_text().split(",")[:9]
        == (Path("runs/r/metrics.csv").read_text().split(",")[:9])
    )


def test_python_converts_between_the_values_of_the_data_and_images(here: Path, use: Use) -> None:
    images = (dots() * 2 - 1).astype("f4")
    np.save("x.npy", images)
    use("train", "--data", "x.npy", "--range", "-1:1", "--name", "r", "--epochs", 1, "-q")
    model = load("r")
    with pytest.raises(UsageError, match=r"not in \[0, 1\]: to_unit\(\) scales values from -1:1"):
        model.encode(images)
    unit = model.to_unit(images)
    assert unit.shape == (40, 1, 16, 16)
    assert np.allclose(unit, dots()[:, None], atol=1e-6)
    assert np.allclose(model.from_unit(unit)[:, 0], images, atol=1e-6)
    assert np.allclose(model.to_unit(images[0]), unit[:1])
    test = model.held_out()
    order = [int(name) for name in model.data().names(test)]
    assert np.allclose(test.items[test.rows], unit[order])
    decoded = model.from_unit(model.decode(model.encode(unit).mean))
    assert -1 <= decoded.min() < decoded.max() <= 1
    assert np.allclose(model.to_unit(decoded), model.decode(model.encode(unit).mean), atol=1e-6)


def test_masks_in_a_folder_are_black_and_white(here: Path, use: Use) -> None:
    write_pictures(here / "masks", (dots() > 0.3).astype("u1"), "png")
    said = use("data", "masks", "--save-example", "example.png").err
    assert "masks: all values are 0 and 1, so 1 is taken as white: --range 0:1" in said
    with Image.open("example.png") as example:
        assert set(np.unique(np.asarray(example))) == {0, 255}
    use("train", "--data", "masks", "--name", "r", *QUICK)
    assert load("r").spec.range == (0, 1)
    assert load("r").held_out().items.max() == 255


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--range", "1:0"], '--range = "1:0": must be low:high'),
        (["--range", "0:1"], "--range is for pictures and arrays, not fashion-mnist"),
    ],
)
def test_a_range_that_cannot_be_is_refused(refused: Refused, words: list[str], reason: str) -> None:
    assert reason in refused("train", *words)
