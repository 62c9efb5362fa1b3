"""Checkpoints: named tensors and a little JSON in one safetensors file, without pickle.

The JSON is in the header of the file under `vae`. It has the schema version and everything that is
needed to build the model again, so no other file is necessary. The header also has the SHA-256 of
the file, computed with 64 zeros in place of the digest, so a single flipped bit is detected, and
that of the weights alone, by which the figures of an evaluation are kept.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as deserialize
from safetensors.torch import save as serialize
from torch import Tensor

from vae_cli.errors import VAEError
from vae_cli.files import read_file, write_bytes
from vae_cli.runs.header import (
    LENGTH_BYTES,
    NOT_A_HEADER,
    WEIGHTS,
    digest_weights,
    parse_metadata,
)
from vae_cli.runs.upgrade import upgrade, upgrade_facts

SCHEMA = 5
IMPOSSIBLE_SCHEMA = 1000  # no version of vae will ever write it
MAX_BYTES = 8 * 2**30
_EMPTY_DIGEST = b"0" * 64


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and the JSON facts that belong to them.

    Attributes:
        tensors: by name.
        facts: JSON values.
        digest: SHA-256 of the file that they were read from; empty before they are written.
        weights_digest: the same of the weights of the model in it, when they were first written.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    digest: str = ""
    weights_digest: str = ""

    def group(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names start with `prefix.`, by the rest of their names."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, completely or not at all.

    Raises:
        VAEError: the file cannot be written.
    """
    facts = json.dumps({"schema": SCHEMA, **checkpoint.facts})
    tensors = {name: tensor.detach().contiguous() for name, tensor in checkpoint.tensors.items()}
    weights = checkpoint.weights_digest or digest_of(tensors)
    metadata = {"sha256": _EMPTY_DIGEST.decode(), "weights": weights, "vae": facts}
    undigested = serialize(tensors, metadata)
    digest = hashlib.sha256(undigested).hexdigest().encode()
    field = b'"sha256":"'  # quotes are escaped in the facts, which may contain 64 zeros themselves
    write_bytes(path, undigested.replace(field + _EMPTY_DIGEST, field + digest, 1))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint into memory.

    Raises:
        VAEError: the file is missing, damaged, not a checkpoint, or of a later schema.
    """
    content = _read(path)
    try:
        length = int.from_bytes(content[:LENGTH_BYTES], "little")
        metadata = parse_metadata(content[LENGTH_BYTES : LENGTH_BYTES + length])
        facts = json.loads(metadata["vae"])
        digest, schema = metadata["sha256"].encode(), facts["schema"]
    except NOT_A_HEADER as error:
        raise VAEError(f"{path} is damaged or not a checkpoint of vae") from error
    if type(schema) is not int or not 0 < schema < IMPOSSIBLE_SCHEMA:
        raise VAEError(f"{path} is damaged or not a checkpoint of vae")
    if schema > SCHEMA:
        raise VAEError(f"{path} was written by a newer vae (schema {schema}): upgrade vae")
    if hashlib.sha256(content.replace(digest, _EMPTY_DIGEST, 1)).hexdigest().encode() != digest:
        raise VAEError(f"{path} is damaged: its contents do not match their SHA-256")
    try:
        tensors = deserialize(content)
        weights = metadata.get("weights") or digest_of(tensors)
        return Checkpoint(upgrade(tensors, facts), upgrade_facts(facts), digest.decode(), weights)
    except (SafetensorError, ValueError, LookupError, TypeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise VAEError(f"{path} is damaged: {reason}") from error


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """The digest of the weights among the tensors of a checkpoint."""
    return digest_weights(
        (name, tensor.shape, tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        for name, tensor in tensors.items()
        if name.startswith(WEIGHTS)
    )


def matches(tensors: dict[str, Tensor], module: torch.nn.Module) -> bool:
    """Whether tensors have the names, shapes and types of a module's parameters and buffers."""
    expected = {name: (t.shape, t.dtype) for name, t in module.state_dict().items()}
    return expected == {name: (t.shape, t.dtype) for name, t in tensors.items()}


def _read(path: Path) -> bytes:
    try:
        return read_file(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise VAEError(f"{path} does not exist: the run has no weights yet") from error
    except OSError as error:
        raise VAEError(f"cannot read {path}: {error.strerror}") from error
