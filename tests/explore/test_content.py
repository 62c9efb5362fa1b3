"""An item as the bytes that the page shows."""

from pathlib import Path

import numpy as np
from PIL import Image

from vae_cli.api.model import TrainedModel
from vae_cli.data.columns import Column
from vae_cli.data.dataset import Spec
from vae_cli.explore.content import decode_to_bytes, item_to_bytes
from vae_cli.rendering.grid import Layout
from vae_cli.rendering.pictures import Pictures

COLUMNS = (
    Column(name="cut", kind="category", categories=("Fair", "Good", "Ideal")),
    Column(name="price"),
    Column(name="currency", kind="constant", categories=("USD",)),
    Column(name="sold", kind="date"),
    Column(name="new", kind="category", categories=("False", "True")),
)


def test_the_bytes_of_an_image_are_rounded_as_in_a_png(tmp_path: Path) -> None:
    spec = Spec("x", (3, 4, 4))
    image = np.random.default_rng(0).uniform(-0.1, 1.1, (1, 3, 4, 4)).astype(np.float32)
    Pictures(spec).writer(Layout(scale=1, gap=1)).write(image, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.array(picture)[1:-1, 1:-1]
    assert item_to_bytes(spec, image) == item_to_bytes(spec, image[0]) == pixels.tobytes()


def test_a_row_is_its_values_and_then_the_probabilities_of_its_categories() -> None:
    spec = Spec("x", (5,), columns=COLUMNS)
    row = np.array([2, 0.1, 0, 1_764_525_603.0, 1])
    found = np.frombuffer(item_to_bytes(spec, row), "<f8")
    assert found.tolist() == [0.1, 1_764_525_603.0, 0, 0, 1, 0, 1]


def test_a_missing_value_is_not_a_number_and_a_missing_category_has_no_probability() -> None:
    spec = Spec("x", (5,), columns=COLUMNS)
    found = np.frombuffer(item_to_bytes(spec, np.full(5, np.nan)), "<f8")
    np.testing.assert_array_equal(found, [np.nan, np.nan, 0, 0, 0, 0, 0])


def test_a_latent_of_a_table_is_decoded_as_in_the_api(table: TrainedModel) -> None:
    z = np.frombuffer(np.float32([0.5, -1]).tobytes(), "<f4")  # as it comes from the page
    assert decode_to_bytes(table, z) == table.decode(z).astype("<f8").tobytes()
