"""`vae manifold`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli.console import Terminal
from vae_cli.cli.dims import parse_dims
from vae_cli.cli.inputs import require_writable_output
from vae_cli.cli.opening import open_run
from vae_cli.cli.options import Device, Json, Output, Quiet, RunOption, Scale
from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

PLANE = 2  # dimensions


def command(
    count: Annotated[
        int, typer.Option("--count", "-n", min=2, max=200, help="Tiles per row and per column.")
    ] = 20,
    dim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K",
            help="The dimension from left to right, and again the one from bottom to top; 1,2 "
            "names both. [default: the two with the largest KL]",
        ),
    ] = None,
    run: RunOption = None,
    device: Device = "auto",
    output: Output = None,
    scale: Scale = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Decode the plane of two latents, in steps of equal probability under the prior.

    Example: `vae manifold`, or `vae manifold -n 12 --dim 2 --dim 5 -o plane.png`
    """
    terminal = Terminal(quiet=quiet)
    require_writable_output(output)
    model = open_run(run, device, terminal)
    path = model.kind.output_path(output, "manifold")
    dims = choose_plane(dim, model.kl_by_dim)
    model.kind.require_writable(count**2, path, columns=count, scale=scale)
    from vae_cli.latent.plane import quantile_plane

    with terminal.spinner("decoding"):
        latents = quantile_plane(count, dims, model.model.latent_dim)
        items = model.decode(latents.flatten(0, 1))
        tiles = items.reshape(count, count, *items.shape[1:])
        index = {f"z{number}": latents[..., number] for number in dims}
        model.kind.write_grid(tiles, index, path, scale)
    values = latents[0, :, dims[0]].tolist()
    kl = [float(model.kl_by_dim[number]) for number in dims]
    if json:
        terminal.json({"output": str(path), "dims": dims, "kl": kl, "values": values})
        return
    sides = zip(("left to right", "bottom to top"), dims, kl, strict=True)
    axes = [f"{side}: dimension {number} ({nats:.2f} nats)" for side, number, nats in sides]
    terminal.remark(f"{'; '.join(axes)}; both from {values[0]:.2f} to {values[-1]:.2f}")
    terminal.result(path)


def choose_plane(words: Sequence[str] | None, kl_by_dim: "Tensor") -> list[int]:
    """The two dimensions that were asked for, or the two with the largest KL in their order.

    Raises:
        UsageError: the model has one dimension, or these are not two different ones.
    """
    if len(kl_by_dim) < PLANE:
        raise UsageError("a plane needs two latent dimensions, and this model has one")
    if not words:
        largest: list[int] = kl_by_dim.topk(PLANE).indices.tolist()
        return sorted(largest)
    dims = parse_dims(list(words), kl_by_dim)
    if len(set(dims)) != PLANE or len(dims) != PLANE:
        raise UsageError(f"--dim {','.join(words)}: name two different dimensions")
    return dims
