"""The article's table, from its own two slips composed of this project's parts.

Slip 1: images are scaled to [-1, 1], but the decoder ends in a sigmoid.
Slip 2: the draw uses exp(s) as its standard deviation where the KL reads s as a log-variance.
The printed table is the second run of the training cell, so its first row is epoch 5 of a whole run
(and what it prints as KL is the reconstruction, and the other way round).
"""

from dataclasses import dataclass

import pytest
import torch
from torch import Generator, Tensor, nn

from vae_cli.adam import Adam
from vae_cli.data import FashionMNIST
from vae_cli.model import VAE, DiagonalNormal, Inference, MLPDecoder, MLPEncoder
from vae_cli.objectives import ELBO, Loss
from vae_cli.training import EpochReport, TrainState, constant, fit

TABLE = (479.2302, 478.3582, 477.6199, 477.0821, 476.5840)
TABLE += (476.1422, 475.7838, 475.4815, 475.2341, 474.9893)


class Slipped(nn.Module):
    """The article's network as its code ran it."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, x: Tensor, generator: Generator | None = None) -> Inference:
        read_as_log_variance = self.vae.posterior(2 * x - 1)
        read_as_log_scale = DiagonalNormal(
            read_as_log_variance.mean, 2 * read_as_log_variance.log_variance
        )
        z = read_as_log_scale.rsample(generator)
        return Inference(read_as_log_variance, z, self.vae.prior(), self.vae.likelihood(z))


@dataclass(frozen=True)
class SlippedELBO:
    """The article's loss against images in [-1, 1]."""

    def __call__(self, x: Tensor, inference: Inference) -> Loss:
        return ELBO()(2 * x - 1, inference)


@pytest.mark.timeout(1200)  # a minute on two quiet cores
def test_the_slips_give_the_articles_table() -> None:
    torch.manual_seed(0)
    shape, hidden, latent_dim = (1, 28, 28), (400,), 20
    model = Slipped(
        VAE(
            MLPEncoder(shape, hidden, latent_dim), MLPDecoder(shape, hidden, latent_dim), latent_dim
        )
    )
    state = TrainState(model, Adam(dict(model.named_parameters())), Generator().manual_seed(0))
    reports: list[EpochReport] = []
    dataset = FashionMNIST()
    fit(
        state,
        SlippedELBO(),
        dataset.train(),
        dataset.test().head(1000),
        epochs=14,
        batch_size=128,
        seed=0,
        learning_rate=constant(1e-3, 1),
        report=reports.append,
    )
    losses = [report.train.loss for report in reports[4:]]
    assert losses == pytest.approx(TABLE, rel=0.005)
