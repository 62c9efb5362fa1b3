"""The bound of a model whose latents are codes, and the prior over codes that it counts.

    log p(x) ≥ log p(x|c) + log p(c)        c the codes of x

The posterior is a single point, so that all importance samples of an item are the same, and no
number of them raises the bound. A training counts all codes as equally likely, −log p(c) = T log K,
which is the code length of no real item. Once a prior was fitted to the codes of the training set
(latent/code_prior.py), its code length of the test items stands in the bound instead.
"""

from dataclasses import replace

import torch
from torch import Tensor

from vae_cli.data.split import InMemory, in_order
from vae_cli.evaluation.figures import Figure, Figures, average
from vae_cli.evaluation.fitted_models import codes_of, find_codes, find_codes_head
from vae_cli.evaluation.likelihood import ItemLikelihoods, likelihood_figures
from vae_cli.evaluation.subject import Subject
from vae_cli.latent.code_prior import CodePrior
from vae_cli.model import LatentModel

COUNTING = ("elbo", "kl", "log_likelihood", "bits_per_dim")  # figures that count log p(c)
OF_UNIFORM = "; not with a fitted prior over codes, which sampling fits: all codes count the same"
OF_FITTED = "; p(z) is the prior that was fitted to the codes of the training set"


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
            figures[name] = replace(one, definition=one.definition + note)
    return figures | {
        "uniform_code_length": average(uniform, "T log K, if all codes count the same, nats")
    }


@torch.no_grad()
def code_lengths(model: LatentModel, prior: CodePrior, split: InMemory) -> Tensor:
    """−log p(c|y) of the codes of each item, in nats: float64 `(N,)` on the CPU."""
    parts = [prior.code_lengths(*codes_of(model, batch)) for batch in in_order(split, model.device)]
    return torch.cat(parts).double()


def with_code_lengths(items: ItemLikelihoods, lengths: Tensor) -> ItemLikelihoods:
    """The same items with other values `(N,)` of −log p(c), which their posteriors weigh as KL."""
    shorter = items.kl - lengths
    return replace(items, kl=lengths, bound=items.bound + shorter, early=items.early + shorter)
