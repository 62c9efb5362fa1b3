"""The VAE of `configs/pythae-static.toml` trained by pythae, to compare with.

pythae's own model, trainer and likelihood estimate, on the images that this package makes black and
white: 784-400-40, Adam at 1e-3, batches of 128, 10 epochs. It needs pythae, which is no dependency
of the tests:

    pip install pythae && python tests/benchmarks/pythae_vae.py
"""

import argparse
import sys
import tempfile

import torch
import torch.nn.functional as F
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn

from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.data.split import InMemory
from vae_cli.model import ImageCodec

PIXELS, HIDDEN, LATENT = 784, 400, 40


class Encoder(BaseEncoder):
    """784-400-40."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(PIXELS, HIDDEN)
        self.mean, self.log_variance = nn.Linear(HIDDEN, LATENT), nn.Linear(HIDDEN, LATENT)

    def forward(self, x: Tensor) -> ModelOutput:
        h = F.relu(self.hidden(x.flatten(1)))
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))


class Decoder(BaseDecoder):
    """40-400-784."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.pixels = nn.Linear(LATENT, HIDDEN), nn.Linear(HIDDEN, PIXELS)

    def forward(self, z: Tensor) -> ModelOutput:
        x = torch.sigmoid(self.pixels(F.relu(self.hidden(z))))
        return ModelOutput(reconstruction=x.view(-1, 1, 28, 28))


def read(split: InMemory) -> Tensor:
    """The images `(N, 1, 28, 28)`, 0 or 1, as this package draws them."""
    drawn = ImageCodec(is_stochastic=True).encode_split(split)
    return drawn.network_input(drawn.rows)


def main(seed: int, epochs: int, samples: int) -> None:
    """Train, and print the mean log-likelihood of the test images."""
    data = FashionMNIST()
    train, test = read(data.train()), read(data.test())
    torch.manual_seed(seed)
    settings = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    model = VAE(settings, encoder=Encoder(), decoder=Decoder())
    with tempfile.TemporaryDirectory() as folder:
        training = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs,
            learning_rate=1e-3,
            per_device_train_batch_size=128,
            per_device_eval_batch_size=1000,
            seed=seed,
            no_cuda=True,
        )
        parts = [BaseDataset(part, torch.zeros(len(part))) for part in (train, test)]
        trainer = BaseTrainer(model, *parts, training_config=training)
        trainer.train()
    best = trainer._best_model.eval()  # of the epoch with the lowest test loss, as here
    with torch.no_grad():
        found = best.get_nll(test, n_samples=samples, batch_size=samples)
    sys.stdout.write(f"seed {seed}: log-likelihood {found:.3f} with {samples} samples\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--samples", type=int, default=100)
    options = parser.parse_args()
    main(options.seed, options.epochs, options.samples)
