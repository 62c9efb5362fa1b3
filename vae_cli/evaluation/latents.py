"""What the latents tell about the items.

    active units   Σ_j [ Var_x E_q(z|x)[z_j] > 0.01 ]             Burda et al. (2016), sec. 5.2
    E_x KL(q(z|x) ‖ p(z))  =  I(x; z)  +  KL(q(z) ‖ p(z))         Hoffman & Johnson (2016), eq. 3
    I(x; z)        E_x E_q(z|x) [log q(z|x) − log q(z)],      q(z) = 1/N Σ_n q(z|x_n)

x is one of the N items of the set, each with the probability 1/N, so I(x; z) is at most log N.
"""

import math

import torch
from torch import Tensor

from vae_cli.evaluation.codes import usage_figures
from vae_cli.evaluation.figures import (
    Absent,
    Figure,
    Figures,
    all_absent,
    average,
    figures_of_first,
    make_figure,
)
from vae_cli.evaluation.fitted_models import require_codes_head
from vae_cli.evaluation.sharing import share_rows
from vae_cli.model import (
    Codes,
    DiagonalNormal,
    LatentModel,
    LatentPrior,
    Posterior,
    kl_by_dim,
    log_sum_exp,
)
from vae_cli.noise import Noise, derive_seed
from vae_cli.training.world import ALONE, World

ACTIVE_VARIANCE = 0.01  # of the posterior means, of a unit that is in use
MAX_ITEMS = 10_000  # whose posteriors make up q(z); the cost grows with the square of it
MAX_OTHER_ITEMS = 2500  # if they are not independent normal variables, which are quicker
CHUNK_ITEMS = 25  # times 10,000 posteriors in float64: 2 MB, which fit into a cache
NEAR_LIMIT = 1.0  # nats below log N, where the estimate of the information is too low


def latent_figures(
    model: LatentModel,
    posterior: Posterior,
    seed: int,
    world: World = ALONE,
    y: Tensor | None = None,
) -> Figures:
    """The figures of the posteriors of all N items, with their conditions `(N, W)` if any.

    All processes have all of them.
    """
    if isinstance(posterior, Codes):
        return figures_of_first(lambda: code_figures(model, posterior), world)
    if not posterior.has_density:
        reason = "the posterior is a flow, whose density is known of its own samples alone"
        return figures_of_first(
            lambda: {
                "active_units": active_units(posterior.mode().flatten(1)),
                **all_absent(("mutual_information", "aggregate_kl"), reason),
            },
            world,
        )
    information, divergence = aggregate_terms(model, posterior, seed, world, y)
    text = "KL(q(z) || p(z)) of the aggregated posterior from the prior, nats"
    if isinstance(prior_of_items(model, y, len(posterior)), DiagonalNormal):
        text += "; p(z) is the mean of p(z|y) over the items"

    def describe() -> Figures:
        return {
            "active_units": active_units(posterior.mode().flatten(1)),
            "mutual_information": describe_information(information),
            "aggregate_kl": average(divergence, text),
        }

    return figures_of_first(describe, world)


def code_figures(model: LatentModel, posterior: Codes) -> Figures:
    """The usage of codes, in place of the figures of continuous latents."""
    reason = "the latents are codes, which codes_used, perplexity and bits describe"
    absent = all_absent(("active_units", "mutual_information", "aggregate_kl"), reason)
    return absent | usage_figures(posterior, require_codes_head(model))


def active_units(means: Tensor) -> Figure | Absent:
    """The number of latent dimensions whose posterior means `(N, D)` vary."""
    if len(means) == 1:
        return Absent("one item has no variance")
    count = int((means.double().var(0) > ACTIVE_VARIANCE).sum())
    return make_figure(
        count,
        None,
        f"of {means.shape[1]} units; the variance of the posterior mean is above "
        f"{ACTIVE_VARIANCE} (Burda et al., 2016)",
    )


@torch.no_grad()
def mean_kl_by_dim(
    model: LatentModel, posterior: Posterior, y: Tensor | None = None
) -> list[float]:
    """The KL of each dimension in nats, the mean over items; see `kl_by_dim`."""
    by_dim = kl_by_dim(posterior.to(model.device), prior_of_items(model, y, len(posterior)))
    found: list[float] = [] if by_dim is None else by_dim.cpu().double().mean(0).tolist()
    return found


def prior_of_items(model: LatentModel, y: Tensor | None, count: int) -> LatentPrior:
    """p(z|y) of so many items, with their conditions `(N, W)` on any device."""
    return model.prior_of(None if y is None else y.to(model.device), count)


@torch.no_grad()
def aggregate_terms(
    model: LatentModel,
    posterior: Posterior,
    seed: int,
    world: World = ALONE,
    y: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Estimates of I(x; z) and of KL(q(z) ‖ p(z)) with one sample per item, in nats: `(N,)` each.

    With more than `MAX_ITEMS` items, a random part of them stands for the whole set. All of its
    posteriors make up q(z), so there is no bias from small batches. The processes share the
    samples, and each has all posteriors. A prior p(z|y) is p(z) = 1/N Σ_n p(z|y_n) here.
    """
    noise = Noise(derive_seed(seed, "latents"))
    order = torch.randperm(len(posterior), generator=noise.generator)
    is_quick = isinstance(posterior, DiagonalNormal)
    chosen = order[: MAX_ITEMS if is_quick else MAX_OTHER_ITEMS].sort().values
    each = posterior[chosen].apply(Tensor.double)
    z = each.rsample(1, noise)[0]

    prior = prior_of_items(model, None if y is None else y[chosen], len(chosen))

    def log_prior(some: Tensor) -> Tensor:
        if isinstance(prior, DiagonalNormal):  # one for each item
            return aggregate_log_prob(prior.to(torch.device("cpu")).apply(Tensor.double), some)
        found: Tensor = prior.log_prob(some.to(model.device, posterior.mode().dtype))
        return found.cpu().double()

    def measure(own: Tensor) -> Tensor:
        expected = torch.cat([log_prior(some) for some in own.split(CHUNK_ITEMS)])
        return torch.stack([aggregate_log_prob(each, own), expected], 1)

    aggregate, expected = share_rows(measure, z, world, CHUNK_ITEMS).T.contiguous()
    return each.log_prob(z[None])[0] - aggregate, aggregate - expected


def aggregate_log_prob(posteriors: Posterior, z: Tensor) -> Tensor:
    """Log q(z) under the average of all posteriors, in nats: `(N, *event)` to `(N,)`."""
    if isinstance(posteriors, DiagonalNormal):
        return aggregate_normal_log_prob(posteriors, z)
    sums = [log_sum_exp(posteriors.log_prob(some[:, None]), 1) for some in z.split(CHUNK_ITEMS)]
    return torch.cat(sums) - math.log(len(posteriors))


def aggregate_normal_log_prob(posteriors: DiagonalNormal, z: Tensor) -> Tensor:
    """The same for independent normal variables.

    One matrix product gives log q(z_n|x_m) for all m: the factors are made once for all n.
    """
    mean, log_variance = posteriors.mean.flatten(1), posteriors.log_variance.flatten(1)
    z = z.flatten(1)
    precision = (-log_variance).exp()
    offset = (mean**2 * precision + log_variance + math.log(2 * math.pi)).sum(1, keepdim=True)
    terms = torch.cat([z**2, z, torch.ones_like(z[:, :1])], 1)
    factors = torch.cat([-0.5 * precision, mean * precision, -0.5 * offset], 1).T
    sums = [log_sum_exp(some @ factors, 1) for some in terms.split(CHUNK_ITEMS)]
    return torch.cat(sums) - math.log(len(mean))


def describe_information(information: Tensor) -> Figure | Absent:
    """I(x; z), with a warning where it cannot be larger because there are too few items."""
    limit = math.log(len(information))
    near = information.mean().item() > limit - NEAR_LIMIT
    return average(
        information,
        f"I(x; z) of {len(information):,} items, nats; at most log N = {limit:.2f}"
        + (", which it nearly is: with more items it would be higher" if near else ""),
    )
