"""What is kept of a model: named tensors and a little JSON in one safetensors file. No pickle.

The JSON stands in the file's header under `vae`: the schema version, and whatever is needed to
build the model again, so that a checkpoint can be used without anything beside it. The header holds
the SHA-256 of the file too, taken with 64 zeros in the digest's place: a flipped bit is noticed.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as deserialise
from safetensors.torch import save as serialise
from torch import Tensor

from vae_cli.errors import VAEError
from vae_cli.files import write_whole

SCHEMA = 1
MAX_BYTES = 8 * 2**30
_BLANK = b"0" * 64


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
    blank = serialise(tensors, {"sha256": _BLANK.decode(), "vae": facts})
    digest = hashlib.sha256(blank).hexdigest().encode()
    write_whole(path, blank.replace(_BLANK, digest, 1))


def load(path: Path) -> Checkpoint:
    """Read a checkpoint, its tensors in memory.

    Raises:
        VAEError: the file is missing, damaged, not a checkpoint, or of a later schema.
    """
    content = _read(path)
    try:
        metadata = _metadata(content)
        facts = json.loads(metadata["vae"])
        digest, schema = metadata["sha256"].encode(), facts["schema"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VAEError(f"{path} is damaged or not a checkpoint of vae") from error
    if type(schema) is not int or schema > SCHEMA:
        raise VAEError(f"{path} was written by a newer vae (schema {schema}): upgrade vae")
    if hashlib.sha256(content.replace(digest, _BLANK, 1)).hexdigest().encode() != digest:
        raise VAEError(f"{path} is damaged: its contents do not match their SHA-256")
    try:
        return Checkpoint(deserialise(content), facts)
    except (SafetensorError, ValueError, KeyError) as error:
        raise VAEError(f"{path} is damaged: {error}") from error


def fits(tensors: dict[str, Tensor], module: torch.nn.Module) -> bool:
    """Whether named tensors are just the parameters and buffers of a module, shape by shape."""
    expected = {name: (t.shape, t.dtype) for name, t in module.state_dict().items()}
    return expected == {name: (t.shape, t.dtype) for name, t in tensors.items()}


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise VAEError(f"{path} is larger than {MAX_BYTES >> 30} GiB: not a checkpoint of vae")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise VAEError(f"{path} does not exist: the run has no weights yet") from error
    except OSError as error:
        raise VAEError(f"cannot read {path}: {error.strerror}") from error


def _metadata(content: bytes) -> dict[str, str]:
    """The texts in a safetensors header: 8 bytes of its length, then JSON."""
    length = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + length])["__metadata__"]
    return metadata
