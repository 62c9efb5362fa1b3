"""How close the reconstructions are to the items: MSE, PSNR and SSIM.

An item is reconstructed from the mean of its posterior, at every level of a hierarchical model.
SSIM is torchmetrics': a Gaussian window of 11 pixels with σ = 1.5 (Wang, Bovik, Sheikh &
Simoncelli, 2004).
"""

import torch
from torch import Tensor

from vae_cli.data.split import InMemory, in_order
from vae_cli.evaluation.figures import Absent, Figure, Figures, all_absent, average
from vae_cli.model import LatentModel

SSIM_ITEMS = 64  # at a time: with more, its intermediate values fit into no cache
MIN_SSIM_EDGE = 11  # pixels: the size of its window
MISSING = "pip install torchmetrics to have it"


@torch.no_grad()
def reconstruction_figures(model: LatentModel, split: InMemory) -> Figures:
    """The figures of a set of images, or of standardized rows."""
    errors, similarities = [], []
    for batch in in_order(split, model.device):
        x, found = batch.x, model.infer(batch).likelihood.mean[0]
        errors.append((found - x).square().flatten(1).mean(1).cpu())
        if ssim_absence(split.items.shape[1:]) is None:
            similarities.append(ssim(found, x).cpu())
    mse, is_row = torch.cat(errors), split.items.ndim == 2  # noqa: PLR2004
    unit = "standardized columns" if is_row else "pixels in [0, 1]"
    mean_error = average(mse, f"mean squared error of {unit}, from the posterior mean")
    if is_row:
        return {"mse": mean_error, **all_absent(("psnr", "ssim"), "the items are not images")}
    return {"mse": mean_error, "psnr": psnr(mse), "ssim": _average_ssim(similarities, split)}


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
