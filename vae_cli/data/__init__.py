"""Data sets and batches of their items. `catalogue.open_dataset` opens any of them.

A `Dataset` (dataset.py) has a `Spec`, which says what its items are, and gives parts: a `Split`
(split.py) yields a `Batch` (batch.py) after the other. source.py says what a name means, and each
kind of source has files of its own: pictures of a folder, arrays, tables, downloads, shapes.

It may import nothing above it: no model, no settings. This file imports nothing at all, so that
`source` can be used without waiting for torch.
"""
