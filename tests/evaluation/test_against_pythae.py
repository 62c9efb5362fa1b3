"""The same weights in pythae: its `get_nll` and its loss agree within the standard error.

    pip install --no-deps pythae cloudpickle

pythae is not a dependency of the tests, because it brings many packages; without it, this is
skipped. With pythae 0.1.2: -546.348 here and -546.357 there, with a noise of 0.04 nats.
"""

import importlib
import math
import warnings
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.evaluation.likelihood import estimate_likelihoods
from vae_cli.model import VAE, Bernoulli, MLPDecoder, MLPEncoder, StandardNormal

SHAPE, HIDDEN, DIMS, ITEMS, SAMPLES = (1, 28, 28), [64], 8, 30, 500


def load_pythae() -> tuple[ModuleType, ModuleType, ModuleType]:
    with warnings.catch_warnings(action="ignore"):
        pytest.importorskip("pythae", reason="pip install --no-deps pythae cloudpickle")
        names = ("pythae.models", "pythae.models.nn", "pythae.models.base.base_utils")
        models, networks, utils = map(importlib.import_module, names)
    return models, networks, utils


def ours() -> VAE:
    torch.manual_seed(0)
    networks = MLPEncoder(SHAPE, HIDDEN, DIMS), MLPDecoder(SHAPE, HIDDEN, DIMS)
    return VAE(*networks, Bernoulli(is_binary=False), StandardNormal(DIMS)).eval()


def theirs(model: VAE) -> Any:
    models, networks, utils = load_pythae()

    class Encoder(networks.BaseEncoder):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            nn.Module.__init__(self)

        def forward(self, x: Tensor) -> Any:
            posterior = model.encoder(x)
            return utils.ModelOutput(
                embedding=posterior.mean, log_covariance=posterior.log_variance
            )

    class Decoder(networks.BaseDecoder):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            nn.Module.__init__(self)

        def forward(self, z: Tensor) -> Any:
            return utils.ModelOutput(reconstruction=model.decoder(z).sigmoid())

    config = models.VAEConfig(input_dim=SHAPE, latent_dim=DIMS, reconstruction_loss="bce")
    return models.VAE(config, Encoder(), Decoder()).eval()


@pytest.mark.slow
def test_the_likelihood_and_the_loss_of_pythae_are_ours() -> None:
    model, split = ours(), FashionMNIST().test().head(ITEMS)
    other, x = theirs(model), split.network_input(split.rows)
    found = estimate_likelihoods(model, split, SAMPLES, seed=0)
    again = estimate_likelihoods(model, split, SAMPLES, seed=1)
    with torch.no_grad():  # get_nll returns the log-likelihood, in spite of its name
        torch.manual_seed(0)
        likelihood = other.get_nll(x, n_samples=SAMPLES, batch_size=SAMPLES)
        losses = [other({"data": x}).loss.item() for _ in range(50)]
    noise = ((found.bound - again.bound).std() / math.sqrt(ITEMS)).item()  # of a difference
    assert found.bound.mean().item() == pytest.approx(likelihood, abs=4 * noise)
    loss, spread = torch.tensor(losses).mean().item(), torch.tensor(losses).std().item()
    elbo = (found.distortion + found.kl).mean().item()
    assert elbo == pytest.approx(loss, abs=4 * spread / math.sqrt(50))
