"""Our quantizers beside those of vector-quantize-pytorch, in the same autoencoder.

    pip install "vector-quantize-pytorch==1.32.*"
    python tests/benchmarks/quantizers.py [vq rvq fsq] [--epochs 5] [--seeds 3] [--limit 60000]

Both are between the same fully connected encoder and decoder, which start from the same weights and
see the same batches of Fashion-MNIST in the same order; the loss is the squared error of an image
plus 0.25 of the squared distance to the codes. Both codebooks start by k-means. The squared error,
the codes that are used and their perplexity are those of the 10,000 test images. The steps of both
take turns, and are measured in the processor time of this process (the median).
"""

import argparse
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import final

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from vector_quantize_pytorch import FSQ, ResidualVQ, VectorQuantize

from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.model import FiniteScalarQuantizer, Quantizer, VectorQuantizer
from vae_cli.model.quantizers import gather_statistics
from vae_cli.noise import Noise

LATENT_DIM, DIM, CODES, STAGES, LEVELS = 20, 4, 512, 4, (8, 5, 5, 5)
PLACES = LATENT_DIM // DIM
BATCH, COMMITMENT, STARTING = 128, 0.25, 16_384
VALID = torch.tensor(True)


class Contestant(ABC):
    """A quantizer of vectors `(B, T, D)` as one library has it."""

    module: nn.Module

    @abstractmethod
    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The values, the codes `(B, T)` or `(B, T, S)`, and the commitment, a mean over items."""

    @abstractmethod
    def start(self, x: Tensor) -> None:
        """Start from vectors `(N, D)` of the training set."""


@final
class Ours(Contestant):
    """A quantizer of this package, and what a training step of it does."""

    def __init__(self, quantizer: Quantizer, noise: Noise) -> None:
        self.module: Quantizer = quantizer
        self.noise = noise

    def start(self, x: Tensor) -> None:
        self.module.start(x, BATCH * PLACES, self.noise)

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self.module(x.flatten(0, 1))
        codes = found.codes.view(*x.shape[:2], -1)
        commitment = torch.zeros(())
        if found.commitment is not None:
            commitment = found.commitment.sum() / len(x)
        if found.rests is not None and self.module.training:
            rests = found.rests.view(*x.shape[:2], *found.rests.shape[1:])
            self.module.absorb(gather_statistics(rests, codes, self.module.size, self.noise), VALID)
        return found.values.view(x.shape), codes, commitment


@final
class Theirs(Contestant):
    """A quantizer of vector-quantize-pytorch, whose codebook starts in its first step."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def start(self, x: Tensor) -> None:
        """It does so from its first batch."""

    def quantize(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, codes, *rest = self.module(x)
        # A mean over vectors and their dimensions, of each stage, becomes a sum over an item.
        commitment = rest[0].sum() * LATENT_DIM if rest else torch.zeros(())
        return values, codes, commitment


MAKERS: dict[str, tuple[Callable[[Noise], Contestant], Callable[[], Contestant]]] = {
    "vq": (
        lambda noise: Ours(VectorQuantizer(CODES, DIM), noise),
        lambda: Theirs(
            VectorQuantize(DIM, CODES, decay=0.99, kmeans_init=True, threshold_ema_dead_code=1)
        ),
    ),
    "rvq": (
        lambda noise: Ours(VectorQuantizer(CODES, DIM, stages=STAGES), noise),
        lambda: Theirs(
            ResidualVQ(
                dim=DIM,
                codebook_size=CODES,
                num_quantizers=STAGES,
                decay=0.99,
                kmeans_init=True,
                threshold_ema_dead_code=1,
            )
        ),
    ),
    "fsq": (
        lambda noise: Ours(FiniteScalarQuantizer(LEVELS), noise),
        lambda: Theirs(FSQ(list(LEVELS))),
    ),
}


@final
@dataclass
class Autoencoder:
    """A contestant between an encoder and a decoder."""

    contestant: Contestant
    seed: int
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        self.encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, LATENT_DIM))
        self.decoder = nn.Sequential(
            nn.Linear(LATENT_DIM, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid()
        )
        learned = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimizer = torch.optim.Adam(learned, fused=True)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        self.contestant.start(self.encoder(x).view(-1, DIM))

    def decode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstructions, codes and commitment of images `(B, 784)`."""
        z = self.encoder(x).view(-1, PLACES, DIM)
        values, codes, commitment = self.contestant.quantize(z)
        return self.decoder(values.flatten(1)), codes, commitment

    def step(self, x: Tensor) -> None:
        reconstruction, _, commitment = self.decode(x)
        loss = (reconstruction - x).square().sum() / len(x) + COMMITMENT * commitment
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> tuple[float, float, float]:
        """The squared error of an image, the share of codes in use, and their perplexity."""
        self.contestant.module.eval()
        reconstruction, codes, _ = self.decode(x)
        self.contestant.module.train()
        size = 1000 if isinstance(self.contestant.module, FiniteScalarQuantizer | FSQ) else CODES
        stages = codes.reshape(-1, codes.shape[-1] if codes.ndim > 2 else 1).unbind(1)
        counts = torch.stack([stage.bincount(minlength=size) for stage in stages]).float()
        shares = counts / counts.sum(1, keepdim=True)
        entropy = -(shares * shares.clamp(min=1e-12).log()).sum(1).mean()
        error = (reconstruction - x).square().sum(1).mean()
        return error.item(), (counts > 0).float().mean().item(), entropy.exp().item()


def batches(x: Tensor, epochs: int, seed: int) -> Iterator[Tensor]:
    """The batches of a training, in an order that the seed decides."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for places in torch.randperm(len(x), generator=generator).split(BATCH):
            yield x[places]


def compare(name: str, train: Tensor, test: Tensor, epochs: int, seed: int) -> list[list[float]]:
    """For ours and theirs: error, usage, perplexity, and milliseconds of a step."""
    ours, theirs = MAKERS[name]
    racers = [Autoencoder(ours(Noise(seed)), seed), Autoencoder(theirs(), seed)]
    for racer in racers:
        racer.start(train[: STARTING // PLACES])
    times: list[list[float]] = [[], []]
    for x in batches(train, epochs, seed):
        for racer, spent in zip(racers, times, strict=True):
            start = time.process_time()
            racer.step(x)
            spent.append(time.process_time() - start)
    return [
        [*racer.evaluate(test), 1000 * statistics.median(spent)]
        for racer, spent in zip(racers, times, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=MAKERS, default=list(MAKERS))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=60_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset = FashionMNIST()
    train, test = (
        part.items.flatten(1).float() / 255 for part in (dataset.train(), dataset.test())
    )
    console = Console()
    table = Table("quantizer", "seed", "whose", "squared error", "usage", "perplexity", "ms a step")
    for name in options.names:
        for seed in range(options.seeds):
            found = compare(name, train[: options.limit], test, options.epochs, seed)
            for whose, (error, usage, perplexity, milliseconds) in zip(
                ("ours", "theirs"), found, strict=True
            ):
                row = [f"{error:.3f}", f"{usage:.1%}", f"{perplexity:.0f}", f"{milliseconds:.2f}"]
                table.add_row(name, str(seed), whose, *row)
                console.print(name, seed, whose, *row)
    console.print(table)


if __name__ == "__main__":
    main()
