"""The header of a checkpoint, read without torch and without its tensors.

A safetensors file begins with 8 bytes that give the length of a JSON header. Under `__metadata__`,
a checkpoint of `vae` has its facts and its digests there, which no other program writes.
"""

import json
from pathlib import Path

from vae_cli.errors import UsageError
from vae_cli.files import open_file

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000  # the limit of safetensors
NOT_A_HEADER = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


def parse_metadata(header: bytes) -> dict[str, str]:
    """The texts under `__metadata__`.

    Raises:
        NOT_A_HEADER: it is not JSON, is nested too deeply, or has no texts there.
    """
    metadata = json.loads(header)["__metadata__"]
    if not all(isinstance(text, str) for text in metadata.values()):
        raise TypeError("the metadata are not texts")
    found: dict[str, str] = metadata
    return found


def read_metadata(path: Path) -> dict[str, str]:
    """The texts in the header of a checkpoint of `vae`; empty if the file is missing or is none."""
    try:
        with open_file(path) as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            metadata = parse_metadata(file.read(length)) if length <= MAX_HEADER_BYTES else {}
    except (UsageError, OSError, *NOT_A_HEADER):
        return {}
    return metadata if {"vae", "sha256"} <= metadata.keys() else {}
