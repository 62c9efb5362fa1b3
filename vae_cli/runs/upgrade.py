"""Checkpoints of earlier versions, brought to the current form."""

from typing import Any

import torch
from torch import Tensor

TABLE_NETWORK = "encoder.mlp."  # before schema 2, networks for tables standardized their own input


def upgrade(tensors: dict[str, Tensor], facts: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint with the names and types of the current schema."""
    if facts["schema"] > 1 or not any(TABLE_NETWORK in name for name in tensors):
        return tensors
    upgraded = {}
    for name, tensor in tensors.items():
        if name == "state.model.decoder.columns.mean":
            upgraded["state.model.columns.mean"] = tensor.double()
        elif name == "state.model.decoder.columns.scale":
            upgraded["state.model.columns.std"] = tensor.double()
            upgraded["state.model.decoder.changes"] = torch.ones_like(tensor)
        elif "encoder.columns." not in name:
            upgraded[name.replace(TABLE_NETWORK, "encoder.")] = tensor
    return upgraded
