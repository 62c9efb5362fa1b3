"""`vae manifold`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli._conditions import ask_condition
from vae_cli.cli._inputs import (
    RunGroup,
    parse_dims,
    show_kl,
    sort_dims,
    take_kl,
)
from vae_cli.cli._options import (
    ClassOption,
    NoCaptions,
    ResultTerminal,
    WhereCondition,
)
from vae_cli.cli._pictures import PicturesOutput, two_decimals
from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from vae_cli.api.model import TrainedModel

PLANE = 2  # dimensions


def command(
    *,
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
    run: RunGroup,
    class_: ClassOption = None,
    where: WhereCondition = None,
    output: PicturesOutput,
    no_captions: NoCaptions = False,
    terminal: ResultTerminal,
) -> None:
    """Decode the plane of two latents, in steps of equal probability under N(0, 1).

    A conditional model is told what --class and --where say; without them, it is told nothing.

    Example: `vae manifold`, or `vae manifold -n 12 --dim 2 --dim 5 -o plane.png`
    """
    wanted = output.request(terminal)
    model = run.open(terminal, outputs=[wanted])
    model.require_vectors("vae manifold")
    path = wanted.open_items(model.kind, "manifold")
    from vae_cli.model import UniformOnSphere

    if isinstance(model.model.prior, UniformOnSphere):
        raise UsageError("this model has directions as latents, of which no plane is: try sample")
    told = ask_condition(model, class_, where or [])
    require_told(model, told is not None)
    dims = choose_plane(dim, model.kl_by_dim, model.model.latent_dim)
    from vae_cli.latent.interpolation import quantile_plane
    from vae_cli.rendering.arrangements import Grid

    latents = quantile_plane(count, dims, model.model.latent_dim)
    ticks = list(map(two_decimals, latents[0, :, dims[0]].tolist()))
    said = [f"{name} {value or '(none)'}" for name, value in (told or {}).items()]
    axes = ", ".join([f"z{dims[0]} from left to right, z{dims[1]} from bottom to top", *said])
    layout = output.lay_out(
        count, has_captions=not no_captions, title=axes, above=ticks, left=ticks[::-1]
    )
    writer = model.kind.writer(layout)
    writer.require_writable(count**2, path)
    with terminal.spinner("decoding"):
        items = model.decode(latents.flatten(0, 1), told)
        tiles = items.reshape(count, count, *items.shape[1:])
        places = {f"z{number}": latents[..., number] for number in dims}
        writer.write_arrangement(Grid(items=tiles, places=places), path)
    values = latents[0, :, dims[0]].tolist()
    kl = take_kl(model.kl_by_dim, dims)
    if terminal.wants_json:
        terminal.json({"output": str(path), "dims": dims, "kl": kl, "values": values})
        return
    sides = zip(("left to right", "bottom to top"), dims, kl, strict=True)
    sentences = [
        f"{side}: dimension {number}" + (f" ({show_kl(nats, 2)} nats)" if nats is not None else "")
        for side, number, nats in sides
    ]
    terminal.remark(f"{'; '.join(sentences)}; both from {values[0]:.2f} to {values[-1]:.2f}")
    terminal.result(path)


def require_told(model: "TrainedModel", is_told: bool) -> None:
    """Check that a model that always was told something is told something.

    Raises:
        UsageError: it is not.
    """
    condition = model.model.condition
    if condition is None or condition.dropout or is_told:
        return
    column = model.spec.condition[0]
    example = f"{column.name}={column.categories[0]}" if column.categories else f"{column.name}=..."
    raise UsageError(
        f"{model.name} was always told {column.name}: say it here too, as in --where '{example}'"
    )


def choose_plane(words: Sequence[str] | None, kl_by_dim: "Tensor | None", count: int) -> list[int]:
    """The two dimensions that were asked for, or the two with the largest KL by their numbers.

    Raises:
        UsageError: the model has one dimension, or these are not two different ones.
    """
    if count < PLANE:
        raise UsageError("a plane needs two latent dimensions, and this model has one")
    if not words:
        return sorted(sort_dims(kl_by_dim, count)[:PLANE])
    dims = parse_dims(list(words), kl_by_dim, count)
    if len(set(dims)) != PLANE or len(dims) != PLANE:
        raise UsageError(f"--dim {','.join(words)}: name two different dimensions")
    return dims
