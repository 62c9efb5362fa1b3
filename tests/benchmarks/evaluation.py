"""How much the evaluation of the default network costs, compared with what it cannot avoid.

    python tests/benchmarks/evaluation.py                   ratios from a part of the work
    python tests/benchmarks/evaluation.py --items 10000     the whole work: several minutes

The K-sample likelihood is compared with the matrix products of its decoder, and the other figures
with two epochs of training. Processor time is measured, and the best of several turns is taken, so
that other programs on the computer matter little.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))
import contestants
from contestants import EPOCH, TURN

from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.evaluation.features import feature_figures
from vae_cli.evaluation.latents import latent_figures, mean_kl_by_dim
from vae_cli.evaluation.likelihood import encode, estimate_likelihoods
from vae_cli.evaluation.reconstruction import reconstruction_figures
from vae_cli.evaluation.samples import sample_figures
from vae_cli.evaluation.subject import Subject
from vae_cli.model import VAE, LatentModel
from vae_cli.settings import choose, merge

SAMPLES, BLOCK, TURNS = 5000, 1000, 5


def seconds(work: Callable[[], object]) -> float:
    """The processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


@torch.no_grad()
def products(model: LatentModel, items: int) -> None:
    """The matrix products of the decoder for K samples of each item, and nothing else."""
    assert isinstance(model, VAE)
    layers = [module for module in model.decoder.modules() if isinstance(module, torch.nn.Linear)]
    inputs = [torch.rand(BLOCK, layer.in_features) for layer in layers]
    outputs = [torch.empty(BLOCK, layer.out_features) for layer in layers]
    for _ in range(items * SAMPLES // BLOCK):
        for layer, x, out in zip(layers, inputs, outputs, strict=True):
            torch.mm(x, layer.weight.T, out=out)


def compare_likelihood(model: LatentModel, items: int) -> tuple[float, float]:
    """The best times of the likelihood and of the products, in turns."""
    split = FashionMNIST().test().head(items)
    estimate_likelihoods(model, split.head(1), SAMPLES, seed=0)
    turns = [
        (
            seconds(lambda: products(model, items)),
            seconds(lambda: estimate_likelihoods(model, split, SAMPLES, seed=0)),
        )
        for _ in range(TURNS if items <= 100 else 1)
    ]
    reference, ours = (min(times) for times in zip(*turns, strict=True))
    return ours, reference


def time_others(model: LatentModel) -> dict[str, float]:
    """The times of the other figures of the whole test set."""
    data = FashionMNIST()
    train, test = data.train(), data.test()
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(
            model=model, train=train, test=data.describe(test), folder=Path(folder), epoch=1
        )
        posteriors = [encode(model, test), encode(model, train)]
        means = posteriors[1].mean, train.labels, posteriors[0].mean, test.labels
        return {
            "encoding": seconds(lambda: [encode(model, part) for part in (train, test)]),
            "latents": seconds(
                lambda: (
                    latent_figures(model, posteriors[0], 0),
                    mean_kl_by_dim(model, posteriors[0]),
                )
            ),
            "reconstruction": seconds(lambda: reconstruction_figures(model, test)),
            "features": seconds(lambda: feature_figures(*means)),
            "samples": seconds(lambda: sample_figures(subject, 0, posterior=posteriors[1])),
            "samples again": seconds(lambda: sample_figures(subject, 0)),
        }


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, default=20, help="images for the likelihood")
    items, console = parser.parse_args().items, Console(highlight=False, soft_wrap=True)
    model = choose(merge(), FashionMNIST.spec).build_model(FashionMNIST.spec).eval()
    ours, reference = compare_likelihood(model, items)
    console.print(
        f"log-likelihood, {items:,} images, K = {SAMPLES:,}: {ours:.2f} s, "
        f"{ours / reference:.2f} times the products of the decoder"
    )
    racer = contestants.ours()
    next(racer)
    epochs = 2 * EPOCH / TURN * min(seconds(lambda: next(racer)) for _ in range(TURNS))
    others = time_others(model)
    again = others.pop("samples again")
    total = sum(others.values())
    listed = ", ".join(f"{name} {value:.1f} s" for name, value in others.items())
    console.print(f"other figures: {listed} ({again:.1f} s when the classifier is kept)")
    console.print(f"together {total:.1f} s, {total / epochs:.1f} times two epochs of training")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(f"peak memory: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
