"""A plain PyTorch loop of the equations of `configs/examples-fashion-mnist.toml`, to compare with.

It is written after the settings of the VAE in the PyTorch examples: 784-400-20, cross-entropy on
grey values plus KL, Adam at 1e-3, batches of 128, 10 epochs. It shares nothing with this package
but the images: it is the number that `vae reproduce examples-fashion-mnist` is compared with.

    python tests/benchmarks/examples_vae.py --seed 0
"""

import argparse
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_cli.data.fashion_mnist import FashionMNIST

PIXELS, HIDDEN, LATENT = 784, 400, 20
BATCH, RATE = 128, 1e-3


class PlainVAE(nn.Module):
    """Two layers each way, with torch's own initial weights."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(PIXELS, HIDDEN)
        self.mean = nn.Linear(HIDDEN, LATENT)
        self.log_variance = nn.Linear(HIDDEN, LATENT)
        self.hidden = nn.Linear(LATENT, HIDDEN)
        self.pixels = nn.Linear(HIDDEN, PIXELS)

    def loss(self, x: Tensor) -> Tensor:
        """Cross-entropy and KL of images `(B, 784)`, summed over the batch, in nats."""
        h = F.relu(self.encode(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        p = torch.sigmoid(self.pixels(F.relu(self.hidden(z))))
        kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        return F.binary_cross_entropy(p, x, reduction="sum") + kl


def read_images() -> tuple[Tensor, Tensor]:
    """The training and test images in [0, 1]: `(60000, 784)` and `(10000, 784)`."""
    data = FashionMNIST()
    train, test = (part.network_input(part.rows).flatten(1) for part in (data.train(), data.test()))
    return train, test


def train(seed: int, epochs: int) -> None:
    """Train, and print the test loss of every epoch."""
    torch.manual_seed(seed)
    images, test = read_images()
    model = PlainVAE()
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    start = time.perf_counter()
    for epoch in range(1, epochs + 1):
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            model.loss(images[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            loss = sum(model.loss(x).item() for x in test.split(BATCH)) / len(test)
        seconds = time.perf_counter() - start
        sys.stdout.write(f"seed {seed} epoch {epoch} test loss {loss:.3f} after {seconds:.1f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    train(options.seed, options.epochs)
