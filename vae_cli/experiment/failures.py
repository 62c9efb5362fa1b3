"""What is kept and said if a training fails."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vae_cli.errors import NonFiniteLossError, VAEError, is_memory_full
from vae_cli.experiment.resolve import Resolved
from vae_cli.runs.recorder import RunRecorder


@contextmanager
def explained_failures(recorder: RunRecorder, resolved: Resolved) -> Iterator[None]:
    """Keep the best weights if a training fails, whatever the reason, and say what to do about it.

    Raises:
        NonFiniteLossError: the loss was not finite.
        VAEError: the memory is full, or the data were changed.
    """
    try:
        yield
    except NonFiniteLossError as error:
        recorder.save_diverged()
        epoch = recorder.best_epoch
        kept = f"; the weights of epoch {epoch} are kept" if epoch else ""
        raise NonFiniteLossError(f"{error}: {explain_divergence(resolved)}{kept}") from error
    except Exception as error:
        recorder.save_best()
        if not (isinstance(error, torch.OutOfMemoryError) or is_memory_full(error)):
            raise
        batch_size = recorder.config.training.batch_size
        raise VAEError(explain_full_memory(batch_size, resolved.device)) from error


def explain_divergence(resolved: Resolved) -> str:
    """The cause that is most likely, and what to do: a strange row, or too large steps."""
    if resolved.outlier:
        return f"{resolved.outlier}: correct it, leave it out, or try a lower --learning-rate"
    return "try a lower --learning-rate"


def explain_full_memory(batch_size: int, device: torch.device) -> str:
    """What to try if memory is full."""
    if batch_size == 1:
        return f"out of memory on {device.type} with one image a step: try a smaller --hidden"
    return (
        f"out of memory on {device.type} at --batch-size {batch_size}: "
        f"try --batch-size {batch_size // 2}"
    )
