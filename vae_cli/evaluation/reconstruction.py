"""How close the reconstructions are to the items: MSE, PSNR and SSIM.

An item is reconstructed from the mean of its posterior, at every level of a hierarchical model.
SSIM is torchmetrics': a Gaussian window of 11 pixels with σ = 1.5 (Wang, Bovik, Sheikh &
Simoncelli, 2004). Rows of a table have an error of their numbers, and an accuracy of their
categories.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.split import InMemory
from vae_cli.evaluation.figures import (
    Absent,
    Figure,
    Figures,
    all_absent,
    average,
    figures_of_first,
)
from vae_cli.evaluation.sharing import collect_rows
from vae_cli.model import LatentModel, TableCodec
from vae_cli.training.world import ALONE, World

SSIM_ITEMS = 64  # at a time: with more, its intermediate values fit into no cache
MIN_SSIM_EDGE = 11  # pixels: the size of its window
MISSING = "pip install torchmetrics to have it"
SSIM_DEFINITION = "structural similarity (Wang et al., 2004)"


@torch.no_grad()
def reconstruction_figures(model: LatentModel, split: InMemory, world: World = ALONE) -> Figures:
    """The figures of a set of images, or of rows, whose items the processes share."""
    codec, is_seen = model.codec, ssim_absence(split.shape) is None

    def compare(batch: Batch) -> Tensor:
        found = model.infer(batch).likelihood.mean[0]
        if isinstance(codec, TableCodec):
            return compare_rows(codec, found, batch.x)
        errors = (found - batch.x).square().flatten(1).mean(1)
        return torch.stack([errors, *([ssim(found, batch.x)] if is_seen else [])], 1).cpu()

    by_item = collect_rows(split, compare, model.device, world).T.contiguous()

    def describe() -> Figures:
        return (
            describe_rows(codec, *by_item)
            if isinstance(codec, TableCodec)
            else describe_images(split.shape, *by_item)
        )

    return figures_of_first(describe, world)


def describe_images(shape: Sequence[int], mse: Tensor, *similarity: Tensor) -> Figures:
    """The figures of images with these errors `(N,)`, and this SSIM `(N,)`, if they have one."""
    absence = ssim_absence(shape)
    return {
        "mse": average(mse, "mean squared error of pixels in [0, 1], from the posterior mean"),
        "psnr": psnr(mse),
        "ssim": Absent(absence) if absence else average(similarity[0], SSIM_DEFINITION),
    }


def compare_rows(codec: TableCodec, found: Tensor, x: Tensor) -> Tensor:
    """The error of the measured columns of rows, and the share of categories that are right.

    Both are means over the values of a row that are not missing; NaN if there are none.

    Args:
        codec: of the rows.
        found: as the network returns them, `(B, W)`.
        x: as the network takes them, `(B, W)`.

    Returns:
        `(B, 2)` on the CPU.
    """
    layout, rows, guesses = codec.layout, codec.decode(x), codec.decode(found)
    values, expected = (layout.split(one.cpu())[0] for one in (found, x))
    is_missing = rows.isnan()
    squares = (values - expected).square().masked_fill(is_missing[:, layout.measured], math.nan)
    is_right = (rows == guesses).float().masked_fill(is_missing, math.nan)
    return torch.stack([squares.nanmean(1), is_right[:, layout.categorical].nanmean(1)], 1)


def describe_rows(codec: TableCodec, errors: Tensor, hits: Tensor) -> Figures:
    """The figures of rows with these errors and hits `(N,)`; see `compare_rows`."""
    text = "mean squared error of standardized columns, from the posterior mean"
    figures: Figures = {"mse": _average_known(errors, text, "no column has numbers")}
    if codec.layout.categorical:
        text = "share of categories that are the most probable ones, from the posterior mean"
        figures["category_accuracy"] = _average_known(hits, text, "all are missing")
    return figures | all_absent(("psnr", "ssim"), "the items are not images")


def _average_known(values: Tensor, definition: str, absence: str) -> Figure | Absent:
    known = values[~values.isnan()]
    return average(known, definition) if len(known) else Absent(absence)


def psnr(mse: Tensor) -> Figure | Absent:
    """The peak signal-to-noise ratio of images with these mean squared errors `(N,)`."""
    exact = int((mse == 0).sum())
    if exact:
        return Absent(f"infinite: {exact:,} images are reconstructed exactly")
    return average(-10 * mse.double().log10(), "peak signal-to-noise ratio, dB, mean of images")


def ssim(found: Tensor, x: Tensor) -> Tensor:
    """The structural similarity of pairs of images in [0, 1]: `(B,)`."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    values: list[Tensor] = []
    for pair in zip(found.split(SSIM_ITEMS), x.split(SSIM_ITEMS), strict=True):
        some = structural_similarity_index_measure(*pair, data_range=1.0, reduction="none")
        assert isinstance(some, Tensor)
        values.append(some)
    return torch.cat(values)


def ssim_absence(shape: Sequence[int]) -> str | None:
    """Why images of a shape have no SSIM; None if they have one."""
    if len(shape) == 1:
        return "the items are not images"
    if min(shape[1:]) < MIN_SSIM_EDGE:
        return f"its window is larger than images of {shape[1]}x{shape[2]}"
    try:
        import torchmetrics.functional.image  # noqa: F401
    except ImportError:
        return MISSING
    return None
