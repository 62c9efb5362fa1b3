"""Figures of reconstructions that are known."""

import math

import pytest
import torch
from torch import Tensor, nn

from vae_cli.data.split import InMemory
from vae_cli.evaluation.figures import Absent, Figure
from vae_cli.evaluation.reconstruction import reconstruction_figures
from vae_cli.model import VAE, DiagonalNormal, SquaredError, StandardNormal


class Pixels(nn.Module):
    """An encoder whose mean is the logit of every pixel, with `noise` added."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = nn.Parameter(torch.tensor(noise))

    def forward(self, x: Tensor) -> DiagonalNormal:
        mean = torch.logit(x + self.noise).flatten(1)
        return DiagonalNormal(mean, torch.zeros_like(mean))


def figures_of(edge: int, noise: float) -> dict[str, Figure | Absent]:
    split = InMemory.whole(0.2 + 0.5 * torch.rand(10, 1, edge, edge))
    decoder = nn.Unflatten(1, (1, edge, edge))
    model = VAE(Pixels(noise), decoder, SquaredError(), StandardNormal(edge**2)).eval()
    with torch.no_grad():
        return reconstruction_figures(model, split)


def test_a_constant_error_has_a_known_mse_and_psnr() -> None:
    found = figures_of(16, 0.1)
    mse, psnr, ssim = found["mse"], found["psnr"], found["ssim"]
    assert isinstance(mse, Figure)
    assert isinstance(psnr, Figure)
    assert isinstance(ssim, Figure)
    assert mse.value == pytest.approx(0.01, rel=1e-4)
    assert psnr.value == pytest.approx(20, rel=1e-4)
    assert 0.8 < ssim.value < 1


def test_an_exact_reconstruction_has_an_infinite_psnr_which_is_said() -> None:
    split = InMemory.whole(torch.full((3, 1, 16, 16), 0.5))
    model = VAE(Pixels(0.0), nn.Unflatten(1, (1, 16, 16)), SquaredError(), StandardNormal(256))
    found = reconstruction_figures(model.eval(), split)
    assert found["psnr"] == Absent("infinite: 3 images are reconstructed exactly")
    assert isinstance(found["ssim"], Figure)
    assert math.isclose(found["ssim"].value, 1)


def test_small_images_have_no_ssim() -> None:
    assert figures_of(8, 0.1)["ssim"] == Absent("its window is larger than images of 8x8")
