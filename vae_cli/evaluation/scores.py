"""How strange each item is to a model: scores that are higher for stranger items, in nats.

    likelihood  −log p(x), from the importance-weighted bound
    adjusted    −log p(x) − f(L(x)),  f the least-squares line through the held-out items
    complexity  −log p(x) − L(x)                                    Serra et al. (2020)
    distortion  −log p(x|z)
    kl          KL(q(z|x) ‖ p(z))
    neighbours  the mean distance from the mode of q(z|x) to the nearest ones of the training set

L(x) is the length of the image as a PNG in nats, which measures how complex it is. A likelihood is
high for simple images, such as a black one, whatever they show. `complexity` takes this into
account in the units of a code, so it needs a likelihood of pixels with 256 values. `adjusted`
learns from held-out items how much −log p(x) rises with L(x), so it works with every likelihood of
images.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, final, get_args

import torch
from PIL import Image
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.batches import CPU
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.data.split import InMemory
from vae_cli.errors import UsageError, mark, require_known
from vae_cli.evaluation.codes import code_lengths, with_code_lengths
from vae_cli.evaluation.likelihood import estimate_likelihoods
from vae_cli.evaluation.sharing import collect_rows
from vae_cli.latent.code_prior import CodePrior
from vae_cli.model import LatentModel
from vae_cli.rendering.grid import to_picture, to_pixels
from vae_cli.training.world import ALONE, World

BITS = 8  # of a byte


def png_lengths(x: Tensor) -> Tensor:
    """The length of each image `(B, C, H, W)` as a PNG, in nats: float64 `(B,)`."""
    lengths = [
        png_bytes(to_picture(pixels)) - overhead(to_picture(pixels).mode) for pixels in to_pixels(x)
    ]
    return torch.tensor(lengths, dtype=torch.float64) * BITS * math.log(2)


def png_bytes(picture: Image.Image) -> int:
    """The size of a picture as a PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.tell()


def overhead(mode: str) -> int:
    """What a PNG has beside its pixels: a signature, a header and an end."""
    return png_bytes(Image.new(mode, (1, 1))) - 1


ScoreName = Literal["adjusted", "likelihood", "complexity", "distortion", "kl", "neighbours"]
SCORE_NAMES: tuple[ScoreName, ...] = get_args(ScoreName)
NEED_CODE = ("adjusted", "complexity")  # they need the lengths of images
SAMPLES = 20
NEIGHBOURS = 5
CHUNK_ITEMS = 250  # whose distances to all training items are computed at a time
PERCENT = 100


@final
@dataclass(frozen=True, kw_only=True)
class Measures:
    """What is known about each item: float64 `(N,)` in nats, except for `distance`.

    Of several processes, the first has all items, and the others have none.

    Values so far from the training set that a network overflows are infinitely unlikely and far.

    Attributes:
        bound: the importance-weighted bound of log p(x).
        distortion: −log p(x|z) with its constant, the mean over samples.
        kl: KL(q(z|x) ‖ p(z)).
        distance: the mean distance to the nearest latent means of the training set.
        code: the length as a PNG; empty for rows of a table.
    """

    bound: Tensor
    distortion: Tensor
    kl: Tensor
    distance: Tensor
    code: Tensor

    @property
    def elbo(self) -> Tensor:
        """The evidence lower bound."""
        return -(self.distortion + self.kl)


@torch.no_grad()
def measure(
    model: LatentModel,
    split: InMemory,
    train: Tensor,
    samples: int,
    seed: int,
    progress: Progress = ignore_progress,
    world: World = ALONE,
    code_prior: CodePrior | None = None,
) -> Measures:
    """Measure every item of a split.

    Args:
        model: in evaluation mode.
        split: what the model takes.
        train: the modes of the posteriors of the training set, `(M, D)`, flat.
        samples: K, of the importance-weighted bound.
        seed: of the noise; an item has the same noise in any subset of its data.
        progress: called with the number of items that are done, and the number of all.
        world: the processes that share the items.
        code_prior: of a model of codes, counts in the place of the uniform prior if it is given.
    """

    def measure_distances(batch: Batch) -> Tensor:
        return neighbour_distances(model.posterior(batch).mode().flatten(1).cpu(), train)

    found = estimate_likelihoods(model, split, samples, seed, progress, world)
    if code_prior is not None:
        found = with_code_lengths(found, code_lengths(model, code_prior, split, world))
    distance = collect_rows(split, measure_distances, model.device, world)
    code = torch.empty(0, dtype=torch.float64)
    if len(split.shape) > 1:
        code = collect_rows(split, lambda batch: png_lengths(batch.x), CPU, world)
    return Measures(
        bound=or_limit(found.bound, -torch.inf),
        distortion=or_limit(found.distortion, torch.inf),
        kl=or_limit(found.kl, torch.inf),
        distance=or_limit(distance, torch.inf),
        code=code,
    )


def or_limit(values: Tensor, limit: float) -> Tensor:
    """The values, with a limit in place of those that are not a number after an overflow."""
    return torch.where(values.isnan(), limit, values)


def join(parts: Sequence[Measures]) -> Measures:
    """The items of several splits."""
    names = [field.name for field in fields(Measures)]
    return Measures(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def neighbour_distances(means: Tensor, train: Tensor) -> Tensor:
    """The mean distance of latents `(N, D)` to the nearest training ones `(M, D)`: float64 `(N,)`.

    A training item is one of its own neighbours, at the distance 0.
    """
    count = min(NEIGHBOURS, len(train))
    parts = [
        torch.cdist(some, train).topk(count, largest=False).values.double().mean(1)
        for some in means.split(CHUNK_ITEMS)
    ]
    return torch.cat(parts)


def choose_score(wanted: ScoreName | None, *, is_image: bool) -> ScoreName:
    """The score that was asked for, or the best one for the kind of items; see docs/scoring.md.

    Raises:
        UsageError: rows of a table have no code length, or there is no such score.
    """
    require_known("by", wanted or "likelihood", get_args(ScoreName))
    if wanted in NEED_CODE and not is_image:
        raise UsageError(
            f"{mark(f'by={wanted}')}: rows of a table have no PNG; use {mark('by=likelihood')}"
        )
    return wanted or ("adjusted" if is_image else "likelihood")


def compute_score(name: ScoreName, items: Measures, held_out: Measures) -> Tensor:
    """How strange each item is: float64 `(N,)`, higher for stranger items.

    Args:
        name: of the score.
        items: what to score.
        held_out: items that the model should find ordinary.
    """
    match name:
        case "likelihood":
            return -items.bound
        case "adjusted":
            slope, intercept = fit_line(held_out.code, -held_out.bound)
            return -items.bound - (slope * items.code + intercept)
        case "complexity":
            return -items.bound - items.code
        case "distortion":
            return items.distortion
        case "kl":
            return items.kl
        case "neighbours":
            return items.distance


def fit_line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Slope and intercept of the least-squares line through points; it is flat if all x agree.

    Points at infinity, from items that are infinitely unlikely, are left out.
    """
    x, y = x[y.isfinite()], y[y.isfinite()]
    centred = x - x.mean()
    variance = centred.square().sum().item()
    slope = (centred * y).sum().item() / variance if variance else 0.0
    return slope, (y.mean() - slope * x.mean()).item()


def percentiles(scores: Tensor, held_out: Tensor) -> Tensor:
    """The percentage of held-out items that are less strange than each item: float64 `(N,)`."""
    below = torch.searchsorted(held_out.sort().values, scores.contiguous())
    return PERCENT * below.double() / len(held_out)
