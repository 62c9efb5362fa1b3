"""The shapes: the same everywhere, and each factor changes what its name says."""

import hashlib

import pytest
import torch
from torch import Tensor

from vae_cli.data import shapes
from vae_cli.data.shapes import FACTORS, Shapes, factors, render_images


@pytest.fixture(scope="module")
def images() -> Tensor:
    return render_images()


def test_the_pixels_are_the_same_on_every_machine(images: Tensor) -> None:
    assert images.shape == (30_720, 1, 64, 64)
    digest = hashlib.sha256(images.numpy().tobytes()).hexdigest()
    assert digest == "ae57a2bca5dea83b03cfa7c0c1b395a76438a96cb0db7d4ba983899f2aa1c877"


def test_most_images_are_different(images: Tensor) -> None:
    """A square and an ellipse look the same after half a turn."""
    some = images[::7]
    assert len({image.numpy().tobytes() for image in some}) > len(some) * 0.85


def test_each_factor_changes_what_its_name_says(images: Tensor) -> None:
    steps = torch.arange(64, dtype=torch.float64)
    across, down = (images.sum(axis, dtype=torch.float64)[:, 0] / 255 for axis in (2, 3))
    mass = across.sum(1)
    x, y = across @ steps / mass, down @ steps / mass
    index = torch.arange(len(images)).view(*FACTORS.values())
    assert torch.allclose(x[index[..., 1:, :]] - x[index[..., :-1, :]], torch.tensor(2.0).double())
    assert torch.allclose(y[index[..., 1:]] - y[index[..., :-1]], torch.tensor(2.0).double())
    assert (mass[index[:, 1:]] > mass[index[:, :-1]]).all()
    assert factors()[index[2, 1, 5, 3, 4]].tolist() == [2, 1, 5, 3, 4]
    rotated = mass[index[:, 3, :, 0, 0]]
    assert (rotated.max(1).values / rotated.min(1).values < 1.01).all()


def test_the_small_images_are_means_of_four_pixels(
    images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "render_images", lambda: images)
    large, small = (Shapes(test_fraction=0.1, name=name) for name in ("shapes", "shapes-32"))
    assert small.spec.shape == (1, 32, 32)
    assert small.test().rows.equal(large.test().rows)
    x, y = (one.test().items[one.test().rows[:64]].double() for one in (large, small))
    assert torch.allclose(torch.nn.functional.avg_pool2d(x, 2), y, atol=0.5)


def test_the_test_fraction_is_held_out_and_the_shape_is_the_class(
    images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "render_images", lambda: images)
    dataset = Shapes(test_fraction=0.1)
    train, test = dataset.train(), dataset.test()
    assert len(train) + len(test) == 30_720
    assert len(test) == pytest.approx(3072, rel=0.1)
    assert test.labels.equal(factors()[test.rows, 0])
    assert len(dataset.spec.classes) == 3
    assert dataset.spec.shape == images.shape[1:]
