"""Figures of reconstructions that are known."""

import math

import numpy as np
import pytest
import torch
from tables import COLUMNS, mixed_rows
from torch import Tensor, nn

from vae_cli.data.split import InMemory
from vae_cli.evaluation.figures import Absent, Figure
from vae_cli.evaluation.reconstruction import reconstruction_figures
from vae_cli.model import VAE, DiagonalNormal, SquaredError, StandardNormal, TableLikelihood
from vae_cli.model.table_codec import RowLayout, fit_codec


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


class Nothing(nn.Module):
    """An encoder, and a decoder, that know nothing of their input."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.outputs = nn.Parameter(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.outputs.expand(*x.shape[:-1], -1)


class Everywhere(Nothing):
    def forward(self, x: Tensor) -> DiagonalNormal:  # type: ignore[override]
        mean = super().forward(x)
        return DiagonalNormal(mean, torch.zeros_like(mean))


def test_what_is_missing_in_a_row_is_no_error_of_its_reconstruction() -> None:
    rows = mixed_rows(400, seed=0, holes=0.2)
    layout = RowLayout(COLUMNS, has_indicators=True)
    codec = fit_codec(layout, InMemory.whole(rows), "standard")
    likelihood = TableLikelihood(codec)
    outputs = torch.zeros(likelihood.output_shape(codec.input_shape))
    outputs[len(layout.measured) + layout.starts() + 1] = 1  # the second of each column
    model = VAE(
        Everywhere(torch.zeros(2)), Nothing(outputs), likelihood, StandardNormal(2), codec=codec
    ).eval()
    found = reconstruction_figures(model, codec.encode_split(InMemory.whole(rows)))
    mse, accuracy = found["mse"], found["category_accuracy"]
    assert isinstance(mse, Figure)
    assert isinstance(accuracy, Figure)
    standardized = (rows - rows.nanmean(0)) / torch.from_numpy(np.nanstd(rows, 0))
    expected = standardized[:, layout.measured].square().nanmean(1).nanmean()
    assert mse.value == pytest.approx(expected.item(), rel=1e-5)
    categories = rows[:, layout.categorical]
    hits = torch.where(categories.isnan(), torch.nan, (categories == 1).double())
    assert accuracy.value == pytest.approx(hits.nanmean(1).nanmean().item())
    assert found["psnr"] == Absent("the items are not images")
