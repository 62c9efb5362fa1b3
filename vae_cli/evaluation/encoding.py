"""The posteriors of all items of a set, which most figures are made from."""

import torch

from vae_cli.data.dataset import Progress, Split, ignore_progress
from vae_cli.model import DiagonalNormal, LatentModel


@torch.no_grad()
def encode(
    model: LatentModel, split: Split, progress: Progress = ignore_progress
) -> DiagonalNormal:
    """The posterior of each item in its order: float32 parameters `(N, D)` on the CPU."""
    parts, done = [], 0
    for items in split.chunks(split.rows, 1):
        posterior = model.posterior(items.to(model.device))
        parts.append((posterior.mean.cpu(), posterior.log_variance.cpu()))
        done += len(items)
        progress(done, len(split))
    mean, log_variance = (torch.cat(values) for values in zip(*parts, strict=True))
    return DiagonalNormal(mean, log_variance)
