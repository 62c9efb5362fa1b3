"""What data may cost at most. It is checked before memory is taken, so a small file stays small."""

from vae_cli.errors import UsageError

MAX_MEMORY = 4 * 2**30  # bytes of the values of a data set that is not memory-mapped
MAX_ITEMS = 100_000_000  # of a data set; each takes 24 bytes while they are divided
MAX_COLUMNS = 100_000  # of a table; a checkpoint keeps their names
MAX_CLASSES = 100_000  # their names are kept in every checkpoint


def require_memory(size: int, source: object) -> None:
    """Check that the values of a data set fit into memory.

    Args:
        size: in bytes.
        source: where they come from, for the error message.

    Raises:
        UsageError: they are larger than the budget.
    """
    if size > MAX_MEMORY:
        raise UsageError(
            f"{source} would take {size / 2**30:,.1f} GiB of memory, more than "
            f"{MAX_MEMORY >> 30} GiB: save uint8 or float32 as .npy, which is read from the disk"
        )


def require_items(count: int, source: object) -> None:
    """Check the number of items of a data set.

    Raises:
        UsageError: there are none, or more than are allowed.
    """
    if count == 0:
        raise UsageError(f"{source} holds no items")
    if count > MAX_ITEMS:
        raise UsageError(f"{source} holds {count:,} items: at most {MAX_ITEMS:,} are taken")
