"""Which items are held out. Each item decides for itself, so adding items does not move others.

The key of an item is hashed to a number in [0, 1). If the number is below the test fraction, the
item is held out. Both parts have at least one item: if no number is below the fraction, the item
with the lowest one is held out. The order of the hashes is also the order of the items within a
part. This is a fixed shuffle: the first hundred items are a random sample of the part.
"""

import hashlib
import warnings
from collections.abc import Collection, Iterable

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.dataset import Parts
from vae_cli.data.streamed import AnySplit, SplitT
from vae_cli.errors import UsageError

HASH_BYTES = 6  # which float64 holds


def hash_to_unit_interval(key: bytes) -> float:
    """A number in [0, 1) that depends on the key only."""
    digest = hashlib.blake2b(key, digest_size=HASH_BYTES).digest()
    return int.from_bytes(digest, "big") / (1 << 8 * HASH_BYTES)


def hash_keys(keys: Iterable[bytes]) -> Tensor:
    """The hash of each key: float64 `(N,)`, the same as that of `hash_to_unit_interval`."""
    blake2b = hashlib.blake2b
    digests = b"".join([blake2b(key, digest_size=HASH_BYTES).digest() for key in keys])
    digits = np.frombuffer(digests, np.uint8).reshape(-1, HASH_BYTES)
    return torch.from_numpy(digits @ 256.0 ** -np.arange(1, HASH_BYTES + 1))


def divide(hashes: Tensor, test_fraction: float, name: str) -> tuple[Tensor, Tensor]:
    """The rows to train on and the rows held out, int64, each in the order of the hashes.

    Args:
        hashes: one per item, float64 `(N,)` in [0, 1).
        test_fraction: the expected share of the second part, which has at least one item, as the
            first one has; 0 keeps all items in their order. Equal items are in the same part.
        name: the name of the data set, for the error message.

    Raises:
        UsageError: there are no two different items.
    """
    if test_fraction == 0:
        return torch.arange(len(hashes)), torch.arange(0)
    if len(hashes) <= 1 or are_equal(hashes):
        raise UsageError(f"{name} has {_explain_one_kind(len(hashes))}")
    ordered, order = hashes.sort(stable=True)
    fewest, most = (ordered <= ordered[0]).sum(), (ordered < ordered[-1]).sum()
    count = int((ordered < test_fraction).sum().clamp(fewest, most))
    return order[count:], order[:count]


def are_equal(hashes: Tensor) -> bool:
    """Whether there are several items, and all of them are equal."""
    return len(hashes) > 1 and bool((hashes == hashes[0]).all())


def count_copies(splits: Collection[AnySplit]) -> int | None:
    """How many items are equal to another one before them; None if that is not known."""
    hashes = [split.hashes for split in splits if split.hashes is not None]
    if len(hashes) < len(splits):
        return None
    together = torch.cat(hashes)
    return len(together) - len(together.unique())


def warn_of_copies(parts: Parts) -> None:
    """Warn if held-out items are in the training set as well, or if all items are equal."""
    train, test, validation = (None if part is None else part.hashes for part in parts)
    if train is None or test is None:
        return
    if are_equal(torch.cat([train, test])):
        warnings.warn("all items are equal: nothing can be learned", stacklevel=2)
        return
    for name, hashes in (("test", test), ("validation", validation)):
        if hashes is not None and (count := int(torch.isin(hashes, train).sum())):
            warnings.warn(
                f"{count:,} of {len(hashes):,} {name} items are in the training set as well: the "
                f"figures of the {name} set are too good",
                stacklevel=2,
            )


def divide_for_validation(
    train: SplitT, fraction: float, *, copies_together: bool
) -> tuple[SplitT, SplitT]:
    """Divide a training set after a shuffle: the items to train on, and those for validation.

    Args:
        train: the training set.
        fraction: the share of it that is kept for validation.
        copies_together: whether equal items are in the same part, if they are known.

    Raises:
        UsageError: one of the parts would be empty.
    """
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    is_kept = torch.zeros(len(train), dtype=torch.bool)
    is_kept[order[len(train) - round(fraction * len(train)) :]] = True
    if copies_together and train.hashes is not None:
        is_kept = is_kept[first_copies(train.hashes)]
    count = int(is_kept.sum())
    if count in {0, len(train)}:
        raise UsageError(
            f"data.validation = {fraction} keeps {count} of {len(train)} training items: "
            "choose another fraction"
        )
    kept = is_kept[order]
    return train.take(order[~kept]), train.take(order[kept])


def first_copies(hashes: Tensor) -> Tensor:
    """The place of the first item that is equal to each item, int64 `(N,)`."""
    values, groups = hashes.unique(return_inverse=True)
    places = torch.arange(len(hashes))
    first = torch.full((len(values),), len(hashes)).scatter_reduce(0, groups, places, "amin")
    return first[groups]


def _explain_one_kind(count: int) -> str:
    """The end of a sentence about items that cannot be divided, because no two are different."""
    if count > 1:
        return f"{count:,} items, which are all equal: there is nothing to divide or to learn"
    items = "1 item" if count else "no items"
    return f"{items}: add others, because one is to train on and one to test on"
