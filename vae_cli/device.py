"""The device to compute on, and its threads."""

import torch

from vae_cli.errors import UsageError


def available_devices() -> list[str]:
    """The devices that torch can use here, the fastest first; `cpu` is always the last."""
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return [*found, "cpu"]


def resolve_device(name: str) -> torch.device:
    """The device with this name; `auto` is the fastest that is available.

    This also tells the processor to treat denormal float32 numbers as 0. Adam's moments of a pixel
    that is always black become denormal, and arithmetic with them is slow.

    Raises:
        UsageError: torch cannot use that device here.
    """
    torch.set_flush_denormal(True)  # before the worker threads start, because they inherit it
    found = available_devices()
    if name == "auto":
        return torch.device(found[0])
    if name not in found:
        raise UsageError(
            f"device {name} is not available: torch {torch.__version__} "
            f"found {' and '.join(found)}; use --device {found[0]} or auto"
        )
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """The device for a person: the name of the GPU, or the number of threads of the processor."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({threads} thread{'s'[: threads > 1]})"
    return device.type
