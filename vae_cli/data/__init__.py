"""What goes in: data sets, and batches of their items."""

from vae_cli.data.batches import at_once, gather, moments, permutation, unit_interval
from vae_cli.data.dataset import Dataset, Progress, Spec, Split, together
from vae_cli.data.fashion_mnist import FashionMNIST

__all__ = [
    "Dataset",
    "FashionMNIST",
    "Progress",
    "Spec",
    "Split",
    "at_once",
    "gather",
    "moments",
    "permutation",
    "together",
    "unit_interval",
]
