"""Whether each known factor is in one latent of its own: MIG, SAP, DCI and the FactorVAE score.

    MIG  1/F Σ_k (I_1 − I_2) / H(v_k)       the two latents with most information about factor k
    SAP  1/F Σ_k (S_1 − S_2)                the two latents that predict factor k best
    DCI  R_jk = I(z_j; v_k);   disentanglement Σ_j ρ_j (1 − H_F(R_j· / Σ_k R_jk)),
         completeness 1/F Σ_k (1 − H_D(R_·k / Σ_j R_jk)),   ρ_j = Σ_k R_jk / Σ_jk R_jk
    FactorVAE score   accuracy of j ↦ k from votes j = argmin_j Var[z_j | v_k] / Var[z_j]

Two definitions of the MIG are in use. Chen et al. (2018) take the information between a factor and
a sample of q(z|x). Locatello et al. (2019) take the one between a factor and the mean, counted in
20 bins. SAP (Kumar, Sattigeri & Balakrishnan, 2018) and DCI (Eastwood & Williams, 2018) are
computed from the same bins, so that no version of another library can change them: their numbers
differ from those with support vector machines or boosted trees. For a vote of the FactorVAE score
(Kim & Mnih, 2018, sec. 4), some items have one factor in common, and the latent that varies least
among them names it; half of the votes say which factor each latent stands for, and the others are
judged by it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_cli.data.dataset import Factors
from vae_cli.evaluation.features import classify_by_neighbours
from vae_cli.evaluation.figures import Absent, Figure, Figures, all_absent, make_figure
from vae_cli.evaluation.latents import ACTIVE_VARIANCE
from vae_cli.model import DiagonalNormal, Posterior
from vae_cli.noise import Noise, derive_seed

BINS = 20
MAX_ITEMS = 4000  # whose posteriors the information of samples is computed from
FACTOR_NAMES = (
    *("mig_chen", "mig_locatello", "sap"),
    *("dci_disentanglement", "dci_completeness", "dci_informativeness"),
    "factor_vae_score",
)
VOTES = 2000  # of each half
ITEMS_OF_VOTE = 64
VOTES_OF_CHUNK = 100  # whose items are gathered together: 0.5 MB for ten latents


def factor_figures(posterior: Posterior, factors: Factors | None, seed: int) -> Figures:
    """All figures for the posteriors `(N, D)` of items with known factors `(N, F)`."""
    if factors is None:
        return all_absent(FACTOR_NAMES, "the factors of the items are not known (vae data shapes)")
    values = factors.values[:, [bool(v.unique().numel() > 1) for v in factors.values.T]]
    if not values.numel():
        return all_absent(FACTOR_NAMES, "no factor of these items varies")
    if len(posterior.event_shape) > 1:
        return all_absent(FACTOR_NAMES, "the latents are a grid, not a vector")
    if posterior.event_shape == (1,):
        return all_absent(FACTOR_NAMES, "there is one latent dimension, so no second one")
    means, entropies = posterior.mode().double(), torch.stack([entropy(v) for v in values.T])
    binned = information_matrix(means, values)
    marginals = posterior.marginals()
    importance = dci(binned)
    found = {
        "mig_locatello": (
            gap(binned / entropies),
            f"mutual information gap of means in {BINS} bins (Locatello et al., 2019)",
        ),
        "sap": (gap(prediction_matrix(means, values)), f"SAP (Kumar et al., 2018), {BINS} bins"),
        "dci_disentanglement": (importance[0], "DCI disentanglement from mutual information"),
        "dci_completeness": (importance[1], "DCI completeness from mutual information"),
        "dci_informativeness": (
            informativeness(means, values),
            "accuracy of factors from the nearest neighbours of the means, mean of factors",
        ),
        "factor_vae_score": (
            factor_vae_score(means, values, seed),
            f"accuracy of a majority vote (Kim & Mnih, 2018), {VOTES:,} votes of "
            f"{ITEMS_OF_VOTE} items; by chance {1 / values.shape[1]:.2f}",
        ),
    }
    figures = {name: make_figure(value, None, text) for name, (value, text) in found.items()}
    return {"mig_chen": sampled_gap(marginals, values, entropies, seed), **figures}


def sampled_gap(
    marginals: DiagonalNormal | None, values: Tensor, entropies: Tensor, seed: int
) -> Figure | Absent:
    """The MIG of Chen et al. from the distribution of each latent, `(N, D)`, if it is normal."""
    if marginals is None:
        return Absent("the posterior of a single latent is not a normal distribution")
    sampled = sampled_information(marginals, values, seed)
    text = "mutual information gap (Chen et al., 2018)"
    return make_figure(gap(sampled / entropies), None, text)


def to_bins(values: Tensor) -> Tensor:
    """The number of the bin of each value `(N,)`; the bins are equally wide."""
    low, high = values.min(), values.max()
    if low == high:
        return torch.zeros(len(values), dtype=torch.int64)
    return ((values - low) / (high - low) * BINS).long().clamp(max=BINS - 1)


def joint_counts(first: Tensor, second: Tensor) -> Tensor:
    """How often each pair of two discrete variables `(N,)` occurs: float64 `(A, B)`."""
    columns = int(second.max()) + 1
    size = (int(first.max()) + 1) * columns
    counts = torch.bincount(first * columns + second, minlength=size)
    return counts.view(-1, columns).double()


def entropy(values: Tensor) -> Tensor:
    """The entropy of a discrete variable `(N,)` in nats."""
    shares = torch.bincount(values).double() / len(values)
    return -xlogx(shares).sum()


def xlogx(shares: Tensor) -> Tensor:
    """The product of each number with its logarithm; 0 for 0."""
    product: Tensor = torch.special.xlogy(shares, shares)
    return product


def mutual_information(first: Tensor, second: Tensor) -> Tensor:
    """The mutual information of two discrete variables `(N,)` in nats."""
    shares = joint_counts(first, second) / len(first)
    product = shares.sum(1, keepdim=True) * shares.sum(0, keepdim=True)
    information: Tensor = xlogx(shares).sum() - torch.special.xlogy(shares, product).sum()
    return information


def information_matrix(means: Tensor, values: Tensor) -> Tensor:
    """I(z_j; v_k) with the means `(N, D)` in bins: `(D, F)`, in nats."""
    binned = [to_bins(column) for column in means.T]
    rows = [torch.stack([mutual_information(z, v) for v in values.T]) for z in binned]
    return torch.stack(rows).clamp(min=0)


def sampled_information(posterior: DiagonalNormal, values: Tensor, seed: int) -> Tensor:
    """I(z_j; v_k) with z from q(z|x): `(D, F)`, in nats (Chen et al., 2018, eq. 7 and appendix A).

    q(z_j) and q(z_j|v_k) are mixtures of the posteriors of the items, or of those with the value.
    """
    noise = Noise(derive_seed(seed, "factors"))
    chosen = torch.randperm(len(values), generator=noise.generator)[:MAX_ITEMS]
    mean, log_variance = posterior.mean[chosen].double(), posterior.log_variance[chosen].double()
    z = DiagonalNormal(mean, log_variance).rsample(1, noise)[0]
    groups = [F.one_hot(v).double() for v in values[chosen].T]
    rows = []
    for j in range(mean.shape[1]):
        each = DiagonalNormal(mean[:, j], log_variance[:, j])
        density = torch.exp_(each.log_prob_by_dim(z[:, j, None]))  # (N, N): z_j of row under column
        rows.append(torch.stack([conditional_gain(density, group) for group in groups]))
    return torch.stack(rows).clamp(min=0)


def conditional_gain(density: Tensor, group: Tensor) -> Tensor:
    """E log q(z|v) − log q(z) from the densities `(N, N)` and the one-hot values `(N, V)`."""
    by_value = density @ (group / group.sum(0).clamp(min=1))
    own = (by_value * group).sum(1)
    return (own.log() - density.mean(1).log()).mean()


def prediction_matrix(means: Tensor, values: Tensor) -> Tensor:
    """How well latent j alone predicts factor k: the balanced accuracy, `(D, F)`.

    Each bin of the latent stands for the value of the factor that is most frequent in it, where
    every value counts as if it were as frequent as the others.
    """
    binned = [to_bins(column) for column in means.T]
    rows = [torch.stack([balanced_accuracy(z, v) for v in values.T]) for z in binned]
    return torch.stack(rows)


def balanced_accuracy(bins: Tensor, values: Tensor) -> Tensor:
    """The mean over values of the share of items that their bin predicts correctly."""
    counts = joint_counts(bins, values)
    totals = counts.sum(0)
    present = totals > 0
    rates = counts[:, present] / totals[present]
    return rates.max(1).values.sum() / present.sum()


def gap(scores: Tensor) -> float:
    """The mean over factors of the difference between the two best latents, from `(D, F)`."""
    best = scores.topk(2, dim=0).values
    return (best[0] - best[1]).mean().item()


def dci(importance: Tensor) -> tuple[float, float]:
    """Disentanglement and completeness from the importance `(D, F)`; (0, 0) if all of it is 0."""
    total = importance.sum()
    if total == 0:
        return 0.0, 0.0
    by_latent = 1 - normalized_entropy(importance, 1)
    by_factor = 1 - normalized_entropy(importance.T, 1)
    disentanglement = (by_latent * importance.sum(1) / total).sum().item()
    return disentanglement, by_factor.mean().item()


def normalized_entropy(weights: Tensor, dim: int) -> Tensor:
    """The entropy of weights that are scaled to the sum 1, from 0 to 1; 1 where all are 0."""
    count, sums = weights.shape[dim], weights.sum(dim, keepdim=True)
    shares = torch.where(sums > 0, weights / sums.clamp(min=1e-300), 1 / count)
    limit = torch.tensor(float(max(count, 2)), dtype=torch.float64).log()
    return -xlogx(shares).sum(dim) / limit


def informativeness(means: Tensor, values: Tensor) -> float:
    """The accuracy with which the first half of the items predicts the factors of the others."""
    half = len(means) // 2
    found = [
        (classify_by_neighbours(means[:half], v[:half], means[half:]) == v[half:]).double().mean()
        for v in values.T
    ]
    return torch.stack(found).mean().item()


def factor_vae_score(means: Tensor, values: Tensor, seed: int) -> float:
    """How often the latent that varies least tells which factor is fixed (Kim & Mnih, 2018).

    Args:
        means: of the posteriors, `(N, D)`.
        values: of the factors, `(N, F)`.
        seed: of the votes.
    """
    noise = Noise(derive_seed(seed, "votes"))
    variance = means.var(0)
    in_use = variance > ACTIVE_VARIANCE
    if not in_use.any():
        return 1 / values.shape[1]
    scaled = means[:, in_use] / variance[in_use].sqrt()
    learned, judged = (count_votes(scaled, values, noise) for _ in range(2))
    right = judged.gather(1, learned.argmax(1, keepdim=True))
    return (right.sum() / judged.sum()).item()


def count_votes(scaled: Tensor, values: Tensor, noise: Noise) -> Tensor:
    """How often a latent `(N, D)` varies least while a factor `(N, F)` is fixed: int64 `(D, F)`."""
    dims, factors = scaled.shape[1], values.shape[1]
    votes = [
        torch.bincount(vote(scaled, column, VOTES // factors, noise), minlength=dims)
        for column in values.T
    ]
    return torch.stack(votes, 1)


def vote(scaled: Tensor, column: Tensor, count: int, noise: Noise) -> Tensor:
    """The latents that vary least among items with the same value of one factor: `(count,)`.

    The value is that of a random item, so that frequent values have more votes.
    """
    order, counts = column.argsort(), torch.bincount(column)
    value = column[noise.integers(len(column), count)]
    first, size = (counts.cumsum(0) - counts)[value], counts[value]
    places = noise.uniform_like(torch.empty(count, ITEMS_OF_VOTE, dtype=torch.float64))
    chosen = order[first[:, None] + (places * size[:, None]).long()]
    parts = [scaled[some].var(1).argmin(1) for some in chosen.split(VOTES_OF_CHUNK)]
    return torch.cat(parts)
