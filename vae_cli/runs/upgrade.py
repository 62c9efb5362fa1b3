"""Checkpoints of earlier versions, brought to the current form."""

from typing import Any

import torch
from torch import Tensor

TABLE_NETWORK = "encoder.mlp."  # before schema 2, networks for tables standardized their own input


def upgrade(tensors: dict[str, Tensor], facts: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint with the names and types of the current schema."""
    if facts["schema"] == 1 and any(TABLE_NETWORK in name for name in tensors):
        tensors = upgrade_table(tensors)
    if facts["schema"] <= 2:  # noqa: PLR2004
        tensors = upgrade_core(tensors)
    return rename(tensors) if facts["schema"] <= 4 else tensors  # noqa: PLR2004


RENAMED = {  # from schema 4 to 5, the beginnings of names
    "state.model.columns.": "state.model.codec.",
}


def rename(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """From schema 4 to 5: the tensors with the names of today."""
    renamed = {}
    for name, tensor in tensors.items():
        for before, after in RENAMED.items():
            if name.startswith(before):
                name = after + name.removeprefix(before)  # noqa: PLW2901
        renamed[name] = tensor
    return renamed


def upgrade_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a checkpoint with the settings of the current schema.

    Before schema 4, the rules by which data are read and divided were no setting.
    """
    config = facts.get("config")
    data = config.get("data") if isinstance(config, dict) else None
    if facts["schema"] <= 3 and isinstance(data, dict):  # noqa: PLR2004
        data.setdefault("rules", 1)
    return facts


def upgrade_table(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """From schema 1 to 2: the model standardizes rows, not its networks."""
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


def upgrade_core(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """From schema 2 to 3: likelihood and prior are parts of the model, and totals have names."""
    upgraded = {}
    for name, tensor in tensors.items():
        moved = name
        for part in ("changes", "log_variance"):
            moved = moved.replace(f".decoder.{part}", f".likelihood.{part}")
        upgraded[moved] = tensor
    figure = "nll" if "state.model.columns.mean" in tensors else "mse"
    if (totals := upgraded.pop("state.totals", None)) is not None and totals.ndim == 1:
        sums = {"loss": totals[0], "kl": totals[2:].sum(), figure: totals[1]}
        upgraded |= {f"state.totals.{name}": total for name, total in sums.items()}
    projection = tensors.get("state.model.encoder.project.weight")
    if projection is not None:
        upgraded["state.model.prior.mean"] = torch.zeros(len(projection) // 2)
    return upgraded
