"""The header of a checkpoint, read without torch and without its tensors.

A safetensors file begins with 8 bytes that give the length of a JSON header. Under `__metadata__`,
a checkpoint of `vae` has its facts and its digests there, which no other program writes.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from vae_cli.errors import UsageError
from vae_cli.files import open_file

LENGTH_BYTES = 8
WEIGHTS = "state.model."  # begins the names of the tensors of the model
MAX_HEADER_BYTES = 100_000_000  # the limit of safetensors
NOT_A_HEADER = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


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


def read_facts(path: Path) -> dict[str, Any]:
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
