"""The device to compute on, and its threads."""

import os

import torch

from vae_cli.errors import UsageError, mark
from vae_cli.processes import SLURM_SIZE, Place
from vae_cli.threads import require_threads, share_cores, watch_cores

GPU_OF_TASK = "SLURM_GPUS_PER_TASK"  # which srun sets if each process sees its own GPU alone
# The variables in which a launcher of several processes writes their number.
LAUNCHERS = {"WORLD_SIZE": "torchrun", SLURM_SIZE: "srun", "OMPI_COMM_WORLD_SIZE": "mpirun"}


def available_devices() -> list[str]:
    """The devices that torch can use here, the fastest first; `cpu` is always the last."""
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return [*found, "cpu"]


def resolve_device(name: str, place: Place | None = None) -> torch.device:
    """The device with this name; `auto` is the fastest that is available.

    This also prepares the processor. Its threads are watched, so that they do not stand in the way
    of other programs, and denormal float32 numbers are treated as 0: Adam's moments of a pixel that
    is always black become denormal, and arithmetic with them is slow.

    Args:
        name: of the device.
        place: of this process among those that work together, which divide the cores and have a GPU
            each; None if it works alone.

    Raises:
        UsageError: torch cannot use that device here, there are fewer GPUs than processes, or this
            is one of several processes that would each do the same.
        VAEError: torch may not start its threads.
    """
    if place is None:
        require_one_process()
    else:
        share_cores(place.local_size)
    require_threads(torch.get_num_threads())
    torch.set_flush_denormal(True)  # before the worker threads start, because they inherit it
    found = available_devices()
    if name not in {"auto", *found}:
        raise UsageError(
            f"device {name} is not available: torch {torch.__version__} "
            f"found {' and '.join(found)}; use {mark(f'device={found[0]}')} or auto"
        )
    device = torch.device(found[0] if name == "auto" else name)
    if device.type == "cpu":
        watch_cores()
    if device.type == "cuda" and place is not None:
        take_own_gpu(place)
    return device


def take_own_gpu(place: Place) -> None:
    """Let `cuda` mean the GPU of this process.

    Raises:
        UsageError: there are fewer GPUs than processes.
    """
    if GPU_OF_TASK in os.environ:
        return
    count = torch.cuda.device_count()
    if place.local_size > count:
        raise UsageError(
            f"{place.local_size} processes on this machine need a GPU each, and torch found "
            f"{count}: use {mark(f'training.processes={count}')}"
        )
    torch.cuda.set_device(place.local_rank)


def require_one_process() -> None:
    """Check that no launcher has started several processes, which would all do the same work.

    Raises:
        UsageError: one has.
    """
    for variable, launcher in LAUNCHERS.items():
        count = os.environ.get(variable, "")
        if count.isdecimal() and int(count) > 1:
            raise UsageError(
                f"{launcher} has started {count} processes ({variable}), and each would do the "
                "same: start this command once; those that take "
                f"{mark('training.processes')} work with torchrun and srun"
            )


def describe_device(device: torch.device) -> str:
    """The device for a person: the name of the GPU, or the number of threads of the processor."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({threads} thread{'s'[: threads > 1]})"
    return device.type
