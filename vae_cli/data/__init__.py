"""Data sets, whatever they come from, and batches of their items.

source.py says what a name means, and catalogue.py opens it. A `Dataset` (dataset.py) has a `Spec`,
which says what its items are, and gives parts: a `Split` (split.py) yields a `Batch` (batch.py)
after the other, with the arithmetic of batches.py.

Each kind of source is one file: folder.py, arrays.py, table.py, downloads.py, shapes.py, and
Fashion-MNIST. What is in their files is read by folder_files.py, picture.py and picture_files.py,
array_files.py, and table_files.py: it opens a table_source.py or a table_text.py, column_kinds.py
finds what its columns are, and table_contents.py makes numbers of them, with cells.py and
cell_arrays.py. What columns mean is in columns.py; spelling.py and table_writing.py write them, and
conditions.py chooses rows.
held_out.py decides which items are for testing, statistics.py measures a training set,
value_range.py says what is black and white. cache.py keeps decoded pictures, and memory.py has the
limits of what may be read. A set that does not fit is in shards.py: shard_names.py says which files
a name means, and shard_source.py opens them. indexed_shards.py is what picture_shards.py and
array_shards.py share; shard_index.py keeps what tar_shards.py and parquet_shards.py (with
parquet_columns.py) find in files, which are here or elsewhere (shard_files.py, remote_files.py).
streamed.py reads it ahead of a
training, in the order of streaming_order.py, and sharded.py makes a data set of it.

It may import nothing above it: no model, no settings. This file imports nothing at all, so that
source.py can be used without waiting for torch.

Example:
    >>> import torch
    >>> from vae_cli.data.catalogue import open_dataset
    >>> from vae_cli.data.dataset import ignore_progress
    >>> from vae_cli.data.source import find_source
    >>> source = find_source("fashion-mnist")  # or the path of a folder, an array or a table
    >>> clothes = open_dataset(source, test_fraction=0.1, progress=ignore_progress)
    >>> clothes.spec.shape, clothes.spec.classes[:2]
    ((1, 28, 28), ('T-shirt/top', 'Trouser'))
    >>> {name: len(part) for name, part in clothes.splits().items()}
    {'train': 60000, 'test': 10000}
    >>> first = torch.arange(128)
    >>> batches = clothes.train().batches(first, size=100, device=torch.device("cpu"))
    >>> [tuple(batch.x.shape) for batch in batches]
    [(100, 1, 28, 28), (28, 1, 28, 28)]
"""
