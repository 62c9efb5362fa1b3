"""What goes in: named data sets as uint8 images in memory, and the batches gathered from them."""

from vae_cli.data.batches import gather, permutation, unit_interval
from vae_cli.data.dataset import Dataset, Split
from vae_cli.data.fashion_mnist import FashionMNIST

__all__ = ["Dataset", "FashionMNIST", "Split", "gather", "permutation", "unit_interval"]
