"""Checkpoints: named tensors and a little JSON in one safetensors file, without pickle.

A safetensors file begins with 8 bytes that give the length of a JSON header. A checkpoint of `vae`
has three texts under `__metadata__` there, which no other program writes:

    vae        the facts, as JSON: the schema version, and all that builds the model again
    sha256     of the file, with 64 zeros in place of this digest: a single flipped bit is detected
    weights    SHA-256 of the weights alone, by which the figures of an evaluation are kept

The header is read without torch, so that a thousand runs are listed in less than a second.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from vae_cli.errors import UsageError, VAEError
from vae_cli.files import open_file, read_file, write_bytes
from vae_cli.runs.upgrade import upgrade, upgrade_facts

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 6
IMPOSSIBLE_SCHEMA = 1000  # no version of vae will ever write it
MAX_BYTES = 8 * 2**30
LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000  # the limit of safetensors
NOT_A_HEADER = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
WEIGHTS = "state.model."  # begins the names of the tensors of the model
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

    tensors: dict[str, "Tensor"]
    facts: dict[str, Any]
    digest: str = ""
    weights_digest: str = ""

    def group(self, prefix: str) -> dict[str, "Tensor"]:
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
    from safetensors.torch import save

    facts = json.dumps({"schema": SCHEMA, **checkpoint.facts})
    tensors = {name: tensor.detach().contiguous() for name, tensor in checkpoint.tensors.items()}
    weights = checkpoint.weights_digest or digest_of(tensors)
    undigested = save(tensors, {"sha256": _EMPTY_DIGEST.decode(), "weights": weights, "vae": facts})
    digest = hashlib.sha256(undigested).hexdigest().encode()
    field = b'"sha256":"'  # quotes are escaped in the facts, which may contain 64 zeros themselves
    write_bytes(path, undigested.replace(field + _EMPTY_DIGEST, field + digest, 1))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint into memory.

    Raises:
        VAEError: the file is missing, damaged, not a checkpoint, or of a later schema.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

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
        tensors = load(content)
        weights = metadata.get("weights") or digest_of(tensors)
        return Checkpoint(upgrade(tensors, facts), upgrade_facts(facts), digest.decode(), weights)
    except (SafetensorError, ValueError, LookupError, TypeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise VAEError(f"{path} is damaged: {reason}") from error


def matches(tensors: "Mapping[str, Tensor]", others: "Mapping[str, Tensor]") -> bool:
    """Whether tensors have the names, shapes and types of others, such as those of a module."""
    first, second = (
        {name: (t.shape, t.dtype) for name, t in some.items()} for some in (tensors, others)
    )
    return first == second


def parse_metadata(header: bytes) -> dict[str, str]:
    """The texts under `__metadata__`.

    Raises:
        NOT_A_HEADER: it is not JSON, is nested too deeply, or has no texts there.
    """
    return _texts(json.loads(header))


def read_metadata(path: Path) -> dict[str, str]:
    """The texts in the header of a checkpoint of `vae`; empty if the file is missing or is none."""
    try:
        with open_file(path) as file:
            metadata = _texts(_read_header(file)[0])
    except (UsageError, OSError, *NOT_A_HEADER):
        return {}
    return metadata if {"vae", "sha256"} <= metadata.keys() else {}


def read_raw_facts(path: Path) -> dict[str, Any]:
    """The facts of a checkpoint of `vae`, not validated; empty if the file is none."""
    try:
        facts = json.loads(read_metadata(path).get("vae", "{}"))
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def read_weights_digest(path: Path) -> str:
    """The digest of the weights in a checkpoint; empty if the file is missing or is none.

    A checkpoint of an earlier version does not say it, so its weights are read.
    """
    metadata = read_metadata(path)
    if not metadata or "weights" in metadata:
        return metadata.get("weights", "")
    try:
        with open_file(path) as file:
            return _digest_file(file)
    except (UsageError, OSError, *NOT_A_HEADER):
        return ""


def digest_of(tensors: "Mapping[str, Tensor]") -> str:
    """The digest of the weights among the tensors of a checkpoint."""
    import torch

    return digest_weights(
        (name, tensor.shape, tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        for name, tensor in tensors.items()
        if name.startswith(WEIGHTS)
    )


def digest_weights(weights: Iterable[tuple[str, Sequence[int], bytes | memoryview]]) -> str:
    """SHA-256 of the names, shapes and bytes of tensors, in the order of their names."""
    sha256 = hashlib.sha256()
    for name, shape, content in sorted(weights, key=lambda weight: weight[0]):
        sha256.update(f"{name} {list(shape)} ".encode())
        sha256.update(content)
    return sha256.hexdigest()


def _digest_file(file: BinaryIO) -> str:
    header, start = _read_header(file)
    weights = []
    for name, entry in header.items():
        if name.startswith(WEIGHTS):
            first, last = entry["data_offsets"]
            file.seek(start + first)
            weights.append((name, entry["shape"], file.read(last - first)))
    return digest_weights(weights)


def _read(path: Path) -> bytes:
    try:
        return read_file(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise VAEError(f"{path} does not exist: the run has no weights yet") from error
    except OSError as error:
        raise VAEError(f"cannot read {path}: {error.strerror}") from error


def _read_header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The header, and where the tensors begin."""
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    header = json.loads(file.read(length)) if length <= MAX_HEADER_BYTES else {}
    return header, LENGTH_BYTES + length


def _texts(header: dict[str, Any]) -> dict[str, str]:
    metadata = header["__metadata__"]
    if not all(isinstance(text, str) for text in metadata.values()):
        raise TypeError("the metadata are not texts")
    found: dict[str, str] = metadata
    return found
