"""The number of importance samples that fits into a time."""

import time

from vae_cli.data.dataset import Split
from vae_cli.evaluation.likelihood import item_generator, weigh
from vae_cli.model import LatentModel

BUDGET = 600.0  # seconds for the likelihoods of one run
CHOICES = (5000, 2000, 1000, 500, 200, 100)  # few, so that most computers choose the same one
PILOT_SAMPLES = 1000
PILOT_ITEMS = 5


def measure_sample(model: LatentModel, split: Split) -> float:
    """The seconds that one sample of one item takes, the fastest of a few items."""
    items = split.network_input(split.rows[:1]).to(model.device)
    times = []
    for row in range(PILOT_ITEMS):
        start = time.perf_counter()
        generator = item_generator(0, row, model.device)
        weigh(
            model, items, PILOT_SAMPLES, generator
        ).distortion.sum().item()  # waits for the device
        times.append(time.perf_counter() - start)
    return min(times) / PILOT_SAMPLES


def choose_samples(seconds_per_sample: float, items: int) -> int:
    """The largest number of samples for which all items fit into the budget, or the smallest."""
    fitting = [k for k in CHOICES if k * items * seconds_per_sample <= BUDGET]
    return max(fitting, default=min(CHOICES))
