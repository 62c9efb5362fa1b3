"""What is fitted once for a run, and kept in its folder: the mixture, and a classifier."""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from vae_cli.data.split import InMemory
from vae_cli.errors import VAEError
from vae_cli.files import exists, require_writable_folder
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, matches, save_checkpoint
from vae_cli.runs.directory import require_written_inside

ModuleT = TypeVar("ModuleT", bound=nn.Module)
DIGEST_ITEMS = 100  # of a data set, whose contents are in its digest


def recall(path: Path, module: ModuleT, digest: str) -> ModuleT | None:
    """The module with the tensors that were kept for this digest; None if there are none.

    A file that is damaged counts as none: what it held can be fitted again.
    """
    if not exists(path):
        return None
    try:
        checkpoint = load_checkpoint(path)
    except VAEError:
        return None
    tensors = checkpoint.tensors
    if checkpoint.facts.get("made_from") != digest or not matches(tensors, module):
        return None
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        return None
    module.load_state_dict(tensors)
    return module


def keep(path: Path, module: nn.Module, digest: str) -> None:
    """Keep the tensors of a module that was fitted to what the digest is of, if it is possible."""
    tensors = {name: tensor.cpu() for name, tensor in module.state_dict().items()}
    checkpoint = Checkpoint(tensors, {"made_from": digest})
    keep_if_possible(path, lambda: save_checkpoint(path, checkpoint))


def keep_if_possible(path: Path, write: Callable[[], None]) -> bool:
    """Write a file of the folder of a run that can be made again; if it fails, a warning says so.

    What was computed is of use all the same. The warning does not name the file, so that the same
    one about several files of a folder is shown once.
    """
    try:
        require_written_inside(path.parent)
        require_writable_folder(path.parent)  # which a write would make again if it was removed
        write()
    except VAEError as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        warnings.warn(
            f"{path.parent} cannot be written: {reason}; what is computed is used, but not kept",
            stacklevel=1,
        )
        return False
    return True


def check_folder(folder: Path) -> None:
    """Warn at once, and not after a long computation, if a folder cannot be written."""
    keep_if_possible(folder / "new", lambda: None)


def digest_weights(model: nn.Module) -> str:
    """SHA-256 of the weights of a model."""
    return digest_tensors(*model.state_dict().values())


def digest_split(split: InMemory) -> str:
    """SHA-256 of which items of a set these are, of their labels, and of the first items."""
    first = split.network_input(split.rows[:DIGEST_ITEMS])
    return digest_tensors(split.rows, split.labels, first)


def digest_tensors(*tensors: Tensor) -> str:
    """SHA-256 of some tensors, of their shapes and of their types."""
    sha256 = hashlib.sha256()
    for tensor in tensors:
        sha256.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().view(-1)
        sha256.update(flat.view(torch.uint8).numpy().data)
    return sha256.hexdigest()
