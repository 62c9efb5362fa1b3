"""Which items are held out: decided by each item alone, so that adding some moves no other.

An item's key is hashed to a number in [0, 1). Below the test fraction it is held out. The order of
the hashes is also the order within a part: a fixed shuffle, so that the first hundred are a sample.
"""

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

from vae_cli.errors import UsageError


def position(key: bytes) -> float:
    """A number in [0, 1) that depends on the key alone."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=6).digest(), "big") / 2**48


def divide(keys: Iterable[bytes], test_fraction: float, name: str) -> tuple[Tensor, Tensor]:
    """The rows to learn from and the rows held out, int64, each in the order of the hashes.

    Args:
        keys: one an item.
        test_fraction: the expected share of the second part; 0 leaves all of them in their order.
        name: of the data, for the message.

    Raises:
        UsageError: one of the parts would be empty.
    """
    at = torch.tensor([position(key) for key in keys], dtype=torch.float64)
    if test_fraction == 0:
        return torch.arange(len(at)), torch.arange(0)
    order = at.argsort(stable=True)
    count = int((at < test_fraction).sum())
    if count in {0, len(at)}:
        items = "1 item" if len(at) == 1 else f"{len(at):,} items"
        raise UsageError(
            f"{name} has {items}, of which --test-fraction {test_fraction} "
            f"holds out {'none' if count == 0 else 'all'}: choose another"
        )
    return order[count:], order[:count]
