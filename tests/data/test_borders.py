"""The usual brightness at the edge of training images."""

import numpy as np
import pytest
import torch

from vae_cli.data.dataset import Spec
from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.data.picture import Fitting
from vae_cli.data.split import InMemory
from vae_cli.data.statistics import expected_border, usual_border


def framed(borders: list[int]) -> InMemory:
    """Images of noise with an even border each."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (len(borders), 3, 9, 9), dtype=np.uint8)
    images[:, :, [0, -1], :] = np.array(borders)[:, None, None, None]
    images[:, :, :, [0, -1]] = np.array(borders)[:, None, None, None]
    return InMemory.whole(torch.from_numpy(images))


@pytest.mark.parametrize(
    ("borders", "usual"),
    [([0] * 10, 0), ([250, 251, 252] * 4, 251), ([20] * 19 + [200], 20), ([0, 255] * 5, None)],
)
def test_a_border_is_usual_if_nearly_all_images_have_it(
    borders: list[int], usual: int | None
) -> None:
    assert usual_border(framed(borders)) == usual


def test_the_border_of_clothes_is_black() -> None:
    assert usual_border(FashionMNIST().train()) == 0


def test_a_measured_border_is_expected_before_that_of_the_data_set() -> None:
    assert expected_border(Spec("a", (1, 4, 4), background=255)) == 255
    assert expected_border(Spec("a", (1, 4, 4), background=255, cropped=True)) is None
    assert expected_border(Spec("a", (1, 4, 4), background=255, cropped=True, usual_border=0)) == 0


def test_an_object_is_drawn_on_the_usual_border_and_pictures_keep_their_background() -> None:
    spec = Spec("a", (1, 4, 4), background=255, cropped=True, usual_border=0)
    assert Fitting.of(spec, find_object=True).background == 0
    assert Fitting.of(spec).background == 255
    assert Fitting.of(Spec("a", (1, 4, 4), background=255), find_object=True).background == 255
