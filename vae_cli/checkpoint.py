"""What is kept of a model: named tensors and a little JSON in one safetensors file. No pickle.

The JSON stands in the file's header under `vae`. It holds the schema version and whatever is needed
to build the model again, so that a checkpoint can be used without anything beside it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from vae_cli.errors import VAEError
from vae_cli.files import write_whole

SCHEMA = 1


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and the facts they belong to."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def group(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names start with `prefix.`, by the rest of their names."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        VAEError: the file cannot be written.
    """
    facts = json.dumps({"schema": SCHEMA, **checkpoint.facts})
    tensors = {name: tensor.detach().contiguous() for name, tensor in checkpoint.tensors.items()}
    write_whole(path, serialise(tensors, {"vae": facts}))


def load(path: Path, device: torch.device) -> Checkpoint:
    """Read a checkpoint, its tensors on `device`.

    Raises:
        VAEError: the file is missing, damaged, not a checkpoint, or of a later schema.
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            facts = json.loads((file.metadata() or {}).get("vae", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise VAEError(f"{path} does not exist: the run has no weights yet") from error
    except OSError as error:
        raise VAEError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, ValueError) as error:
        raise VAEError(f"{path} is damaged or not a checkpoint: {error}") from error
    if not isinstance(facts, dict) or type(facts.get("schema")) is not int:
        raise VAEError(f"{path} is a safetensors file, but not a checkpoint of vae")
    if facts["schema"] > SCHEMA:
        raise VAEError(f"{path} was written by a newer vae (schema {facts['schema']}): upgrade vae")
    return Checkpoint(tensors, facts)
