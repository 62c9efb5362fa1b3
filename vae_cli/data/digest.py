"""A digest of the contents of a data set, which tells whether a resumed run has the same data."""

import hashlib

from vae_cli.data.batches import chunk_length
from vae_cli.data.dataset import Split


def digest_splits(train: Split, test: Split) -> str:
    """The SHA-256 of the items and labels of both parts, in their order, as hexadecimal."""
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(f"{len(split)} {split.items.dtype} {tuple(split.items.shape[1:])}".encode())
        for rows in split.rows.split(chunk_length(split.items.shape[1:])):
            digest.update(split.gather(rows).contiguous().numpy().tobytes())
        digest.update(split.labels.numpy().tobytes())
    return digest.hexdigest()
