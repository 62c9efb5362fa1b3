"""`vae check`."""

import platform
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vae_cli import __version__
from vae_cli.cli._options import Device, ResultTerminal
from vae_cli.cli._training import to_mebibytes
from vae_cli.errors import VAEError

if TYPE_CHECKING:
    import torch

# The extras of the package, the modules that each brings, and what they are for.
EXTRAS = {
    "excel": (("fastexcel",), "spreadsheets as tables"),
    "explore": (("starlette", "uvicorn", "websockets"), "vae explore"),
    "evaluate": (("torchmetrics", "sklearn"), "SSIM and usefulness in vae evaluate"),
    "inception": (("torch_fidelity",), "vae evaluate --features inception"),
    "notebook": (("anywidget",), "the widget for notebooks"),
    "plot": (("sklearn", "umap"), "vae embed --method tsne or umap"),
    "remote": (("aiohttp", "fsspec", "huggingface_hub", "s3fs"), "data at URLs"),
}
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "pyarrow", "safetensors", "matplotlib")


def command(
    *,
    device: Device = "auto",
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Measure the time of training steps.")
    ] = True,
    terminal: ResultTerminal,
) -> None:
    """Show what vae can use here: versions, device, precision, cache, and missing extras.

    Example: `vae check`, or `vae check --device cuda --json`
    """
    from importlib.metadata import version  # takes time that vae --help does not have

    from vae_cli.device import available_devices, describe_device, resolve_device

    chosen = resolve_device(device)
    with terminal.spinner("measuring"):
        times = measure_times(chosen) if measure else {}
    facts = {
        "vae": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
        "device": describe_device(chosen),
        "devices": available_devices(),
        "step_milliseconds": times,
        "cache": describe_cache(),
        "missing_extras": missing_extras(),
    }
    if terminal.wants_json:
        terminal.json(facts)
    else:
        terminal.facts(describe_facts(facts))


def measure_times(device: "torch.device") -> dict[str, float]:
    """The milliseconds of a training step of the default network, by precision."""
    from vae_cli.runs.resolve import resolve
    from vae_cli.runs.train import measure_step
    from vae_cli.settings import merge
    from vae_cli.training.precision import Precision, has_native_bfloat16

    settings = {"data": {"limit": 2000}, "training": {"precision": "float32", "epochs": 1}}
    resolved = resolve(merge(("check", settings)), device)
    precisions: list[Precision] = ["float32"]
    if device.type == "cuda":
        precisions += ["tf32", "bfloat16"]
    elif device.type == "cpu" and has_native_bfloat16():
        precisions.append("bfloat16")
    return {name: round(1000 * measure_step(resolved, name), 3) for name in precisions}


def describe_cache() -> dict[str, Any]:
    """The folder of downloads and decoded pictures, and its size; or why it cannot be used."""
    from vae_cli.data.cache import cache_folder

    try:
        folder = cache_folder()
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    except (VAEError, OSError) as error:
        return {"error": str(error)}
    return {"folder": str(folder), "files": len(sizes), "bytes": sum(sizes)}


def missing_extras() -> dict[str, list[str]]:
    """The extras that are not complete, and the modules that they lack."""
    lacking = {
        name: [module for module in modules if find_spec(module) is None]
        for name, (modules, _) in EXTRAS.items()
    }
    return {name: modules for name, modules in lacking.items() if modules}


def describe_facts(facts: dict[str, Any]) -> dict[str, str]:
    """The facts for a person, by topic."""
    cache, missing = facts["cache"], facts["missing_extras"]
    size = to_mebibytes(cache.get("bytes", 0))
    rows = {
        "vae": f"{facts['vae']}, Python {facts['python']}, {facts['platform']}",
        "packages": ", ".join(f"{name} {number}" for name, number in facts["packages"].items()),
        "device": f"{facts['device']}; torch finds {', '.join(facts['devices'])}",
        "precision": describe_times(facts["step_milliseconds"]),
        "cache": cache.get("error") or f"{cache['folder']}, {cache['files']:,} files, {size}",
    }
    for name, (_, purpose) in EXTRAS.items():
        install = f"missing {', '.join(missing.get(name, []))}: pip install 'vae-cli[{name}]'"
        rows[name] = f"{purpose}: {install if name in missing else 'ready'}"
    return {topic: text for topic, text in rows.items() if text}


def describe_times(times: dict[str, float]) -> str:
    """The time of a step in each precision, and what `--precision auto` makes of it."""
    from vae_cli.training.precision import MAX_TIME_RATIO

    shown = ", ".join(f"{name} {milliseconds:.2f} ms" for name, milliseconds in times.items())
    if not {"float32", "bfloat16"} <= times.keys() or "tf32" in times:
        return f"{shown} for a step of the default network" if times else ""
    percent = round(100 * times["bfloat16"] / times["float32"])
    return (
        f"{shown} for a step of the default network ({percent} %); auto measures each network, and "
        f"takes bfloat16 if it needs less than {100 * MAX_TIME_RATIO:.0f} %"
    )
