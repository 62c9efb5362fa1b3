"""How close the reconstructions are to the items: MSE, PSNR and SSIM.

An item is reconstructed from the mean of its posterior, at every level of a hierarchical model.
SSIM is torchmetrics': a Gaussian window of 11 pixels with σ = 1.5 (Wang, Bovik, Sheikh &
Simoncelli, 2004). Rows of a table have an error of their numbers, and an accuracy of their
categories.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from vae_cli.data.split import InMemory, in_order
from vae_cli.evaluation.figures import Absent, Figure, Figures, all_absent, average
from vae_cli.model import LatentModel, TableCodec

SSIM_ITEMS = 64  # at a time: with more, its intermediate values fit into no cache
MIN_SSIM_EDGE = 11  # pixels: the size of its window
MISSING = "pip install torchmetrics to have it"


@torch.no_grad()
def reconstruction_figures(model: LatentModel, split: InMemory) -> Figures:
    """The figures of a set of images, or of rows."""
    if isinstance(model.codec, TableCodec):
        return row_figures(model, model.codec, split)
    errors, similarities = [], []
    for x, found in reconstruct_all(model, split):
        errors.append((found - x).square().flatten(1).mean(1).cpu())
        if ssim_absence(split.items.shape[1:]) is None:
            similarities.append(ssim(found, x).cpu())
    mse = torch.cat(errors)
    return {
        "mse": average(mse, "mean squared error of pixels in [0, 1], from the posterior mean"),
        "psnr": psnr(mse),
        "ssim": _average_ssim(similarities, split),
    }


def reconstruct_all(model: LatentModel, split: InMemory) -> Iterator[tuple[Tensor, Tensor]]:
    """Encoded items `(B, ...)`, and the means of p(x|z) from the means of their posteriors."""
    for batch in in_order(split, model.device):
        yield batch.x, model.infer(batch).likelihood.mean[0]


def row_figures(model: LatentModel, codec: TableCodec, split: InMemory) -> Figures:
    """The figures of rows: the error of measured columns, and the accuracy of categories.

    Both are means over the values of a row that are not missing, and then over rows.
    """
    layout, errors, hits = codec.layout, [], []
    for x, found in reconstruct_all(model, split):
        rows, guesses = codec.decode(x), codec.decode(found)
        values, expected = (layout.split(one.cpu())[0] for one in (found, x))
        is_missing = rows.isnan()
        squares = (values - expected).square().masked_fill(is_missing[:, layout.measured], math.nan)
        is_right = (rows == guesses).float().masked_fill(is_missing, math.nan)
        errors.append(squares.nanmean(1))
        hits.append(is_right[:, layout.categorical].nanmean(1))
    text = "mean squared error of standardized columns, from the posterior mean"
    found_figures: Figures = {"mse": _average_known(errors, text, "no column has numbers")}
    if layout.categorical:
        text = "share of categories that are the most probable ones, from the posterior mean"
        found_figures["category_accuracy"] = _average_known(hits, text, "all are missing")
    return found_figures | all_absent(("psnr", "ssim"), "the items are not images")


def _average_known(parts: list[Tensor], definition: str, absence: str) -> Figure | Absent:
    values = torch.cat(parts)
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


def ssim_absence(shape: torch.Size) -> str | None:
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


def _average_ssim(similarities: list[Tensor], split: InMemory) -> Figure | Absent:
    reason = ssim_absence(split.items.shape[1:])
    if reason is not None:
        return Absent(reason)
    return average(torch.cat(similarities), "structural similarity (Wang et al., 2004)")
