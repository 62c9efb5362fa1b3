"""Where it runs: the device and the threads."""

import torch

from vae_cli.errors import UsageError


def available() -> list[str]:
    """The devices that torch can use here, best first; `cpu` is always the last."""
    found = ["cuda"] if torch.cuda.is_available() else []
    found += ["mps"] if torch.backends.mps.is_available() else []
    return [*found, "cpu"]


def resolve(name: str) -> torch.device:
    """The device of that name; `auto` is the best there is.

    On a processor, numbers too small for float32's usual form count as 0 from then on: Adam's
    moments of a pixel that is always black become such numbers, and they are slow.

    Raises:
        UsageError: torch cannot use that device here.
    """
    torch.set_flush_denormal(True)  # before the worker threads start, which inherit it
    found = available()
    if name == "auto":
        return torch.device(found[0])
    if name not in found:
        raise UsageError(
            f"device {name} is not available: torch {torch.__version__} "
            f"found {' and '.join(found)}; use --device {found[0]} or auto"
        )
    return torch.device(name)


def describe(device: torch.device) -> str:
    """The device for a person: the card's name, or how many threads the processor lends."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({threads} thread{'s'[: threads > 1]})"
    return device.type
