"""The figures of a model whose latents are codes: its bound, and how its codes are used.

    log p(x) ≥ log p(x|c) + log p(c)        c the codes of x

The posterior is a single point, so that all importance samples of an item are the same, and no
number of them raises the bound. A training counts all codes as equally likely, −log p(c) = T log K,
which is the code length of no real item. Once a prior was fitted to the codes of the training set
(latent/code_prior.py), its code length of the test items stands in the bound instead.

    bits           T log2 K, for T codes of K, of all places and stages
    bits_fitted    −log2 p(c) under the fitted prior
    codes_used     the share of the entries of all codebooks that occur
    perplexity     exp(−Σ_k p_k log p_k), p_k the share of code k; of stages, the mean entropy

The last two are those of Mentzer et al. (2024, https://arxiv.org/abs/2309.15505) and of van den
Oord et al. (2017), of all items of the set together: few items cannot use many codes.
"""

import math
from dataclasses import replace

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
    make_figure,
)
from vae_cli.evaluation.fitted_models import codes_of, find_codes, find_codes_head
from vae_cli.evaluation.likelihood import ItemLikelihoods, likelihood_figures
from vae_cli.evaluation.sharing import collect_rows
from vae_cli.evaluation.subject import Subject
from vae_cli.latent.code_prior import CodePrior
from vae_cli.model import Codes, CodesHead, LatentModel, count_codes, measure_usage
from vae_cli.training.world import ALONE, World

COUNTING = ("elbo", "kl", "log_likelihood", "bits_per_dim")  # figures that count log p(c)
OF_SAMPLES = ("log_likelihood_rise", "effective_samples")
ONE_POINT = "the posterior of codes is a single point, so all samples of an item are the same"
OF_UNIFORM = "not with a fitted prior over codes, which sampling fits: all codes count the same"
OF_FITTED = "p(z) is the prior that was fitted to the codes of the training set"


def bound_figures(subject: Subject, items: ItemLikelihoods) -> Figures:
    """The figures of the likelihood, for codes with the fitted prior if the run has one.

    Args:
        subject: the model and the data.
        items: what is known about each of the items, under the prior of the training.
    """
    model = subject.model
    if find_codes_head(model) is None:
        return likelihood_figures(items, model)
    found, uniform = find_codes(model, subject.folder), items.kl
    if found is not None:
        items = with_code_lengths(items, code_lengths(model, found.prior, subject.test.split))
    note = OF_UNIFORM if found is None else OF_FITTED
    figures = likelihood_figures(items, model)
    for name in COUNTING:
        one = figures[name]
        if isinstance(one, Figure):
            figures[name] = replace(one, definition=f"{one.definition}; {note}")
    bits, text = to_bits(items.kl), "-log2 p(c) under the prior fitted to the training codes"
    return figures | {
        **all_absent(OF_SAMPLES, ONE_POINT),
        "uniform_code_length": average(uniform, "T log K, if all codes count the same, nats"),
        "bits": average(to_bits(uniform), "T log2 K, bits per item if all codes count the same"),
        "bits_fitted": Absent(note) if found is None else average(bits, text),
    }


def to_bits(nats: Tensor) -> Tensor:
    """Code lengths in the other unit."""
    return nats / math.log(2)


def usage_figures(posterior: Codes, head: CodesHead) -> Figures:
    """How the codes `(N, *codes_shape)` of items are distributed over the codebooks."""
    size, stages = head.codebook_size, head.stages
    usage = measure_usage(count_codes(posterior.codes, size, stages))
    share = usage.used / usage.total
    of_stages = f", by the mean entropy of the {stages} stages" if stages > 1 else ""
    return {
        "codes_used": make_figure(share, None, f"share of all {usage.total:,} codes that occur"),
        "perplexity": make_figure(
            usage.perplexity,
            None,
            f"number of equally frequent codes with the same entropy, at most {size:,}{of_stages}",
        ),
    }


@torch.no_grad()
def code_lengths(
    model: LatentModel, prior: CodePrior, split: InMemory, world: World = ALONE
) -> Tensor:
    """−log p(c|y) of the codes of each item, in nats: float64 `(N,)` on the CPU.

    Of several processes, the first has all items, and the others have none.
    """

    def measure(batch: Batch) -> Tensor:
        return prior.code_lengths(*codes_of(model, batch)).double()

    return collect_rows(split, measure, model.device, world)


def with_code_lengths(items: ItemLikelihoods, lengths: Tensor) -> ItemLikelihoods:
    """The same items with other values `(N,)` of −log p(c), which their posteriors weigh as KL."""
    shorter = items.kl - lengths
    return replace(items, kl=lengths, bound=items.bound + shorter, early=items.early + shorter)
