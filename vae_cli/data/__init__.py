"""Data sets and batches of their items. `catalogue.open_dataset` opens any of them.

This file imports nothing, so that the catalogue can be used without waiting for torch.
"""
