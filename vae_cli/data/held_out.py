"""Which items are held out. Each item decides for itself, so adding items does not move others.

The key of an item is hashed to a number in [0, 1). If the number is below the test fraction, the
item is held out. The order of the hashes is also the order of the items within a part. This is a
fixed shuffle: the first hundred items are a random sample of the part.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.dataset import Split
from vae_cli.errors import UsageError

MAX_HUNDREDTHS = 90  # of the test fraction, the limit of the settings


def hash_to_unit_interval(key: bytes) -> float:
    """A number in [0, 1) that depends on the key only."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=6).digest(), "big") / 2**48


def divide(keys: Iterable[bytes], test_fraction: float, name: str) -> tuple[Tensor, Tensor]:
    """The rows to train on and the rows held out, int64, each in the order of the hashes.

    Args:
        keys: one per item.
        test_fraction: the expected share of the second part; 0 keeps all items in their order.
        name: the name of the data set, for the error message.

    Raises:
        UsageError: one of the parts would be empty; the message says what would work.
    """
    hashes = torch.from_numpy(np.fromiter(map(hash_to_unit_interval, keys), np.float64))
    if test_fraction == 0:
        return torch.arange(len(hashes)), torch.arange(0)
    order = hashes.argsort(stable=True)
    count = int((hashes < test_fraction).sum())
    if count in {0, len(hashes)}:
        items = "1 item" if len(hashes) == 1 else f"{len(hashes):,} items"
        raise UsageError(
            f"{name} has {items}, of which --test-fraction {test_fraction} "
            f"holds out {'none' if count == 0 else 'all'}: {_remedy(hashes, test_fraction)}"
        )
    return order[count:], order[:count]


def divide_for_validation(train: Split, fraction: float) -> tuple[Split, Split]:
    """Divide a training set after a shuffle: the items to train on, and those for validation.

    Raises:
        UsageError: one of the parts would be empty.
    """
    count = round(fraction * len(train))
    if count in {0, len(train)}:
        raise UsageError(
            f"data.validation = {fraction} keeps {count} of {len(train)} training items: "
            "choose another fraction"
        )
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    rest, kept = order[:-count], order[-count:]
    return train.take(rest), train.take(kept)


def _remedy(hashes: Tensor, test_fraction: float) -> str:
    """What to do if a test fraction leaves one part without items."""
    if len(hashes) <= 1:
        return "add items, because one is to train on and one to test on"
    lowest, highest = float(hashes.min()), float(hashes.max())
    if lowest == highest:
        return "all of them are equal, so there is nothing to divide or to learn"
    hundredths = range(1, MAX_HUNDREDTHS + 1)
    working = [n / 100 for n in hundredths if lowest < n / 100 <= highest]
    if not working:
        return "add items, because no other fraction works"
    return f"try --test-fraction {min(working, key=lambda one: abs(one - test_fraction))}"
