"""The likelihood of items: the ELBO, and importance-weighted bounds with many samples.

    log w_k = log p(x|z_k) + log p(z_k) − log q(z_k|x),    z_k ~ q(z|x)
    ELBO    = E log w                                      Kingma & Welling (2014), eq. 3
    L_K     = log 1/K Σ_k w_k   ≤   log p(x) on average    Burda et al. (2016), eq. 8
    ESS     = (Σ_k w_k)² / Σ_k w_k²                        Kong (1992)

A row of a table has its likelihood in the units of the table: log |det| of its encoding is added.

The noise of an item depends on the seed and on the row of the item in its data, and each item is
encoded by itself. So an item has the same score in any order, batch or subset of the items.

`encode` makes the posteriors of a whole set, which most other figures are made from. Several
processes share the items of both; see sharing.py.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.batches import CPU, chunk_length
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.data.split import InMemory
from vae_cli.evaluation.figures import Absent, Figure, Figures, average, make_figure
from vae_cli.evaluation.sharing import shared_chunks
from vae_cli.model import (
    VAE,
    BernoulliPixels,
    Codes,
    Distribution,
    HalfVarianceNormal,
    LatentModel,
    Level,
    Posterior,
)
from vae_cli.model.posterior import join
from vae_cli.noise import Noise, derive_seed
from vae_cli.training.world import ALONE, World


@torch.no_grad()
def encode(
    model: LatentModel,
    split: InMemory,
    progress: Progress = ignore_progress,
    world: World = ALONE,
) -> Posterior:
    """The posterior of each item in its order: float32 parameters `(N, ...)` on the CPU of each."""
    parts, done = list[Posterior](), 0
    for batch, share in shared_chunks(split, model.device, world):
        parts.append(model.posterior(batch).to(CPU).apply(share.whole))
        done += share.items
        progress(done, len(split))
    return join(parts)


def distortion_of_samples(likelihood: Distribution, x: Tensor) -> Tensor:
    """−log p(x|z) without its constant, in nats, for K samples of the latents of one item: `(K,)`.

    With thousands of samples for each item, an evaluation is a chain of matrix products followed by
    this step. `Distribution.distortion` makes two or three new tensors of the size of the outputs,
    which costs as much time as half of the products, so two distributions are computed in place.

    Args:
        likelihood: p(x|z), with mean `(K, 1, ...)`; its tensors may be overwritten.
        x: the item, `(1, ...)`.
    """
    match likelihood:
        case HalfVarianceNormal(mean):
            norms: Tensor = torch.linalg.vector_norm(mean.sub_(x).flatten(1), dim=1)
            return norms.square_()
        case BernoulliPixels(logits):
            flat = logits.flatten(1)
            return F.softplus(flat).sum(-1) - flat @ x.flatten()
        case _:
            distortion: Tensor = likelihood.distortion(x)[:, 0]
            return distortion


ROUND_SAMPLES = 20_000  # of the items of one process, after which the progress is told
BLOCK_VALUES = 400_000  # outputs decoded at a time: 1.6 MB of float32, which fit into a cache
EARLY = 10  # the bound with K samples is compared with the one of K/10


@final
@dataclass(frozen=True, kw_only=True)
class ItemLikelihoods:
    """What is known about the likelihood of each item, in nats: float64 `(N,)` on the CPU.

    All are in the units of the data.

    Attributes:
        samples: K.
        values: the number of values of an item.
        distortion: −log p(x|z), averaged over the samples, with its constant.
        kl: KL(q(z|x) ‖ p(z)), in closed form where there is one.
        bound: the importance-weighted bound with all K samples.
        early: the average of ten such bounds with K/10 samples each.
        effective: the effective number of samples, from 1 to K.
    """

    samples: int
    values: int
    distortion: Tensor
    kl: Tensor
    bound: Tensor
    early: Tensor
    effective: Tensor


@dataclass(frozen=True)
class Weights:
    """The samples of one item.

    Attributes:
        log_ratio: log p(z) − log q(z|x), `(K,)`.
        distortion: −log p(x|z) without its constant, `(K,)`.
        constant: of the likelihood.
        kl: of the item, a scalar.
    """

    log_ratio: Tensor
    distortion: Tensor
    constant: float | Tensor
    kl: Tensor


@torch.no_grad()
def estimate_likelihoods(
    model: LatentModel,
    split: InMemory,
    samples: int,
    seed: int,
    progress: Progress = ignore_progress,
    world: World = ALONE,
) -> ItemLikelihoods:
    """Score every item of a split with K samples of its latents.

    Process 0 has all items then, and the others have none.

    Args:
        model: a trained model in evaluation mode.
        split: what the model takes.
        samples: K.
        seed: of the noise.
        progress: called with the number of items that are done, and the number of all.
        world: the processes that share the items.
    """
    size = max(1, min(chunk_length(split.shape), ROUND_SAMPLES // samples))
    scores, done = [], 0
    for batch, share in shared_chunks(split, model.device, world, size):
        rows = share.take(split.rows[done : done + share.items])
        scores.append(share.collect(summarize_items(model, batch, rows.tolist(), samples, seed)))
        done += share.items
        progress(done, len(split))
    distortion, kl, bound, early, effective = torch.cat(scores).unbind(1)
    return ItemLikelihoods(
        samples=samples,
        values=split.items[0].numel(),
        distortion=distortion,
        kl=kl,
        bound=bound,
        early=early,
        effective=effective,
    )


def summarize_items(
    model: LatentModel, batch: Batch, rows: Sequence[int], samples: int, seed: int
) -> Tensor:
    """What `summarize` tells about each item, float64 `(B, 5)`; `rows` are theirs in their data."""
    units = model.codec.log_abs_det(batch.x)
    found = []
    for place, row in enumerate(rows):
        noise = noise_of_item(seed, row, model.device)
        weights = weigh(model, batch[place : place + 1], samples, noise)
        found.append(summarize(weights, units[place]))
    return torch.stack(found)


def noise_of_item(seed: int, row: int, device: torch.device) -> Noise:
    """The source of an item's noise."""
    return Noise(derive_seed(seed, "likelihood", row), device)


def weigh(model: LatentModel, item: Batch, samples: int, noise: Noise) -> Weights:
    """The samples of one item; no more than a block of them is decoded at a time."""
    block = max(1, BLOCK_VALUES // (prod(model.likelihood.output_shape(item.x.shape[1:]))))
    if isinstance(model, VAE):
        return _weigh_one_level(model, item, samples, block, noise)
    sizes = [min(block, samples - start) for start in range(0, samples, block)]
    parts = [_weigh_levels(model, item, size, noise) for size in sizes]
    return Weights(
        torch.cat([part.log_ratio for part in parts]),
        torch.cat([part.distortion for part in parts]),
        parts[0].constant,
        torch.stack([size * part.kl for size, part in zip(sizes, parts, strict=True)]).sum()
        / samples,
    )


def _weigh_one_level(model: VAE, item: Batch, samples: int, block: int, noise: Noise) -> Weights:
    """As `weigh`; the item is encoded once, and its noise is the same for blocks of any size."""
    posterior = model.posterior(item)
    drawn = 1 if isinstance(posterior, Codes) else samples  # all samples of a point are the same
    level = Level.draw(posterior, model.prior_of(item.y, 1), drawn, noise)
    parts = level.z.split(block)
    distortions = [distortion_of_samples(model.decode(part, item.y), item.x) for part in parts]
    constant = model.decode(level.z[:1], item.y).constant
    log_ratio, distortion = level.log_ratio()[:, 0], torch.cat(distortions)
    return Weights(
        log_ratio.expand(samples), distortion.expand(samples), constant, level.kl().sum()
    )


def _weigh_levels(model: LatentModel, item: Batch, samples: int, noise: Noise) -> Weights:
    """A block of samples of a model with any number of levels."""
    inference = model.infer(item, samples, noise)
    likelihood = inference.likelihood
    return Weights(
        inference.log_ratio()[:, 0],
        distortion_of_samples(likelihood, item.x),
        likelihood.constant,
        inference.kl().sum(),
    )


def summarize(weights: Weights, log_abs_det: Tensor) -> Tensor:
    """Distortion, KL, bound, early bound and effective samples of one item: float64 `(5,)`.

    The sums are in float64, so that K samples lose nothing of the precision of one. They are made
    on the CPU, because not every device has float64.

    Args:
        weights: of an encoded item.
        log_abs_det: of its encoding, a scalar; it changes the units of all but KL and samples.
    """
    distortion = weights.distortion.cpu().double() + float(weights.constant) - log_abs_det
    log_weights = weights.log_ratio.cpu().double() - distortion
    samples = len(log_weights)
    total = log_weights.logsumexp(0)
    groups = log_weights[: samples // EARLY * EARLY].view(EARLY, -1) if samples >= EARLY else None
    early = log_weights.mean() if groups is None else log_mean_exp(groups, 1).mean()
    effective = (2 * total - (2 * log_weights).logsumexp(0)).exp()
    bound = log_mean_exp(log_weights, 0)
    return torch.stack([distortion.mean(), weights.kl.cpu().double(), bound, early, effective])


def log_mean_exp(values: Tensor, dim: int) -> Tensor:
    """Log of the mean of exp, without overflow."""
    count = torch.tensor(values.shape[dim], dtype=values.dtype, device=values.device)
    return values.logsumexp(dim) - count.log()


def likelihood_figures(items: ItemLikelihoods, model: LatentModel) -> Figures:
    """The figures of a whole set."""
    count, elbo = items.samples, -(items.distortion + items.kl)
    return {
        "elbo": average(elbo, "evidence lower bound, nats per item"),
        "distortion": average(
            items.distortion, f"-log p(x|z) with its constant, mean of {count:,} samples, nats"
        ),
        "kl": average(items.kl, "KL(q(z|x) || p(z)), nats per item"),
        "log_likelihood": average(
            items.bound,
            f"importance-weighted bound with {count:,} samples (Burda et al., 2016), nats per item"
            + note_on_grey_values(model),
        ),
        "log_likelihood_rise": describe_rise(items),
        "effective_samples": average(
            items.effective, f"effective number of the {count:,} importance samples, mean of items"
        ),
        "bits_per_dim": bits_per_dim(items, model),
    }


def describe_rise(items: ItemLikelihoods) -> Figure | Absent:
    """How much the bound still rises, from K/10 samples to K, and what this means."""
    if items.samples < EARLY:
        return Absent(f"{items.samples} samples are too few to compare with a tenth of them")
    rise = average(items.bound - items.early, "")
    level = average(items.bound, "")
    if not (isinstance(rise, Figure) and isinstance(level, Figure)):
        return Absent("the bound is not a finite number")
    converged = level.error is not None and rise.value <= level.error
    verdict = "converged" if converged else "not converged: the likelihood is higher than this"
    definition = f"rise of the bound from {items.samples // EARLY:,} samples to {items.samples:,}"
    return make_figure(rise.value, rise.error, f"{definition}, nats; {verdict}")


def note_on_grey_values(model: LatentModel) -> str:
    """A warning for the one likelihood that is not normalised over its items."""
    name = model.likelihood.distortion_name
    return "; not a likelihood: cross-entropy on grey values" if name == "bce" else ""


def bits_per_dim(items: ItemLikelihoods, model: LatentModel) -> Figure | Absent:
    """−bound / (D log 2), for pixels with 256 values."""
    if not model.likelihood.is_discrete:
        return Absent(
            "the likelihood is not of pixels with 256 values: a density has no bits, and black and "
            "white images are compared in nats"
        )
    bits = -items.bound / (items.values * torch.tensor(2.0).double().log())
    return average(bits, "bits per dimension, from the importance-weighted bound")


BUDGET = 600.0  # seconds for the likelihoods of one run
CHOICES = (5000, 2000, 1000, 500, 200, 100)  # few, so that most computers choose the same one
PILOT_SAMPLES = 1000
PILOT_ITEMS = 5


def measure_sample(model: LatentModel, split: InMemory) -> float:
    """The seconds that one sample of one item takes, the fastest of a few items."""
    item = next(split.batches(torch.zeros(1, dtype=torch.int64), 1, model.device))
    times = []
    for row in range(PILOT_ITEMS):
        start = time.perf_counter()
        weights = weigh(model, item, PILOT_SAMPLES, noise_of_item(0, row, model.device))
        weights.distortion.sum().item()  # waits for the device
        times.append(time.perf_counter() - start)
    return min(times) / PILOT_SAMPLES


def choose_samples(seconds_per_sample: float, items: int) -> int:
    """The largest number of samples for which all items fit into the budget, or the smallest."""
    fitting = [k for k in CHOICES if k * items * seconds_per_sample <= BUDGET]
    return max(fitting, default=min(CHOICES))
