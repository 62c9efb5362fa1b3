"""Data sets, whatever they come from, and batches of their items.

| what                                 | where                                              |
|--------------------------------------|----------------------------------------------------|
| what a name means; opening it        | `source`, `catalogue`                              |
| the contract of a data set           | `dataset`: `Spec`, `Dataset`                       |
| one part of it, and its batches      | `split`, `batch`, `batches`                        |
| the sources                          | `folder`, `arrays`, `table`, `downloads`, `shapes`,|
|                                      | `fashion_mnist`                                    |
| their files                          | `picture`, and modules that end in `_files`        |
| which items are held out             | `held_out`                                         |
| what is measured on a training set   | `statistics`                                       |
| black and white                      | `value_range`                                      |
| decoded pictures on disk, limits     | `cache`, `memory`                                  |

This file imports nothing, so that `source` can be used without waiting for torch.

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
