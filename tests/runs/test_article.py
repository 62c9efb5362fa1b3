"""The table of the article, reproduced by adding the article's two mistakes to this package.

Mistake 1: images are scaled to [-1, 1], but the decoder ends in a sigmoid.
Mistake 2: the sample uses exp(s) as its standard deviation, but the KL takes s as a log-variance.
The table in the article is from the second run of its training cell, so its first row is epoch 5 of
one long run. The columns for KL and reconstruction are also exchanged, which does not matter here.
"""

import pytest
from models import WrappedVAE, make_state, mlp_vae

from vae_cli.data.batch import Batch
from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.model import (
    Context,
    DiagonalNormal,
    Inference,
    Level,
    Loss,
    NegativeELBO,
    Objective,
    require_normal,
)
from vae_cli.noise import Noise
from vae_cli.training import EpochReport, constant, fit

TABLE = (479.2302, 478.3582, 477.6199, 477.0821, 476.5840)
TABLE += (476.1422, 475.7838, 475.4815, 475.2341, 474.9893)


class MistakenVAE(WrappedVAE):
    """The network of the article with both mistakes."""

    def infer(self, batch: Batch, samples: int = 1, noise: Noise | None = None) -> Inference:
        posterior = require_normal(self.vae.posterior(Batch(2 * batch.x - 1)))
        with_log_scale = DiagonalNormal(posterior.mean, 2 * posterior.log_variance)
        z, _ = with_log_scale.draw(samples, noise)
        return Inference((Level(posterior, self.prior(), z),), self.decode(z))


class MistakenELBO(Objective):
    """The loss of the article, against images in [-1, 1]."""

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        return NegativeELBO()(Batch(2 * batch.x - 1), inference, context)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # a minute on two idle cores
def test_the_two_mistakes_give_the_table_of_the_article() -> None:
    model = MistakenVAE(mlp_vae((1, 28, 28), (400,), 20))
    state = make_state(model, MistakenELBO())
    reports: list[EpochReport] = []
    dataset = FashionMNIST()
    fit(
        state,
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
