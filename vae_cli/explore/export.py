"""The page as one file that contains the decoder. It needs no server and no network.

The decoder is a list of operations and their weights, which the page executes (decoder.js). The
weights are stored as float16, unless that changes a pixel by half a grey level. High and low bytes
are grouped and compressed; the browser undoes this. For a table, the way from the outputs to the
units of the data follows in float64. If a page cannot contain the decoder, a plane through the
latent space is decoded before, and the page contains the pictures.
"""

import base64
import copy
import dataclasses
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vae_cli.api.model import TrainedModel
from vae_cli.errors import UsageError, mark
from vae_cli.explore.scene import (
    PRIOR_SAMPLES,
    Scene,
    evenly_spaced,
    known_conditions,
    make_document,
    to_base64,
)
from vae_cli.latent.decoding import sample_latents
from vae_cli.model import (
    VAE,
    Codec,
    Condition,
    ConvDecoder,
    DiscretizedLogistic,
    ImageCodec,
    LatentModel,
    MLPDecoder,
    TableCodec,
    TableLikelihood,
    UniformOnSphere,
)
from vae_cli.model.likelihoods.columns import MAX_LOGIT
from vae_cli.model.networks.conv import Block
from vae_cli.model.networks.dense import Gated
from vae_cli.model.normal_scores import NormalScores
from vae_cli.model.table_codec import Standardizer
from vae_cli.noise import Noise
from vae_cli.rendering.grid import tile, to_picture, to_pixels


@dataclass(frozen=True)
class Operation:
    """One operation of a decoder.

    Attributes:
        name: its name in decoder.js.
        sizes: its whole numbers.
        weights: its tensors.
    """

    name: str
    sizes: tuple[int, ...] = ()
    weights: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Scale:
    """The way from an output to the value of a number, integer or date column.

    Attributes:
        name: its name in decoder.js.
        numbers: float64.
    """

    name: str
    numbers: Tensor


def list_decoding(model: LatentModel) -> list[Operation]:
    """The operations from a latent to the mean of p(x|z): an image, or an encoded row.

    Raises:
        TypeError: the page has no operation for a layer, or for the likelihood.
    """
    if not isinstance(model, VAE):
        raise TypeError("a page cannot compute a hierarchical decoder")
    if isinstance(model.prior, UniformOnSphere):
        raise TypeError("a page cannot compute latents on a sphere")
    if len(model.event_shape) > 1:
        raise TypeError("a page cannot compute latents that are images")
    return [*list_operations(model.decoder), *list_mean(model)]


def list_scales(codec: Codec) -> list[Scale]:
    """The scales of the columns of a table whose values are measured, in order; none for images.

    Raises:
        TypeError: the page does not know what the codec does.
    """
    match codec:
        case ImageCodec():
            return []
        case TableCodec(standard=standard, scores=scores, layout=layout):
            places: dict[int, Scale] = {}
            for place, numbers in zip(codec.by_deviation, _moments(standard), strict=True):
                places[place] = Scale("standard", numbers)
            for place, numbers in zip(codec.by_scores, _knots(scores), strict=True):
                places[place] = Scale("scores", numbers)
            return [places[place] for place in range(len(layout.measured))]
    raise TypeError(f"a page cannot decode what {type(codec).__name__} encodes")


def _moments(standard: Standardizer) -> Tensor:
    """Mean and deviation of each column, `(S, 2)`."""
    return torch.stack([standard.mean, standard.std], 1)


def _knots(scores: NormalScores | None) -> Iterator[Tensor]:
    """Of each column the step of its grid, the values of its knots, and their scores."""
    if scores is None:
        return
    for step, values, knots in zip(scores.steps, scores.values, scores.scores, strict=True):
        count = max(2, int((knots < knots[-1]).sum()) + 1)  # the last knot is repeated
        yield torch.cat([step[None], values[:count], knots[:count]])


@torch.no_grad()
def list_mean(model: VAE) -> list[Operation]:
    """The operations from the outputs of a decoder to the mean of p(x|z).

    Raises:
        TypeError: the mean is neither the outputs nor their sigmoid, and of no known likelihood.
    """
    likelihood = model.likelihood
    match likelihood:
        case DiscretizedLogistic(components=components):
            return [Operation("mixture", (components,))]
        case TableLikelihood(layout=layout):
            return [Operation("softmax", (int(MAX_LOGIT), len(layout.measured), *layout.sizes))]
    mean = model.decode(torch.zeros(1, model.latent_dim, device=model.device)).mean
    if likelihood.outputs_per_value == 1:
        outputs = torch.linspace(-5, 5, mean.numel(), device=model.device).view_as(mean)
        mean = likelihood(outputs).mean
        for expected, operations in ((outputs, []), (outputs.sigmoid(), [Operation("sigmoid")])):
            if torch.allclose(mean, expected):
                return operations
    raise TypeError(f"a page cannot compute the mean of {type(likelihood).__name__}")


def list_operations(module: nn.Module) -> Iterator[Operation]:
    """The operations of a decoder, in order.

    Raises:
        TypeError: the page has no operation for a layer.
    """
    match module:
        case MLPDecoder():
            yield from _each(module.layers, module.project)
            if len(module.shape) > 1:
                yield Operation("view", module.shape)
        case ConvDecoder():
            yield from _each(module.dense, module.activation, module.project)
            yield Operation("view", module.coarsest)
            for level, side in zip(module.levels, module.sides, strict=True):
                yield from list_operations(level)
                yield Operation("resize", side)
            yield from list_operations(module.out)
        case Block():
            yield Operation("keep")
            yield from _each(module.norm1, module.activation, module.conv1)
            yield from _each(module.norm2, module.activation, module.conv2)
            yield Operation("add")
        case Gated():
            yield from _each(module.both)
            yield Operation("gate")
        case nn.Sequential():
            yield from _each(*module)
        case _:
            yield _layer(module)


def count_multiply_adds(steps: list[Operation]) -> int:
    """The multiply-adds of decoding one item."""
    total, area = 0, 1
    for step in steps:
        match step.name:
            case "view":
                area = step.sizes[1] * step.sizes[2]
            case "resize":
                area = step.sizes[0] * step.sizes[1]
            case "linear":
                total += step.weights[0].numel()
            case "conv":
                total += step.weights[0].numel() * area
    return total


def _each(*modules: nn.Module) -> Iterator[Operation]:
    for module in modules:
        yield from list_operations(module)


def _layer(module: nn.Module) -> Operation:
    match module:
        case nn.ReLU() | nn.Tanh() | nn.SiLU() | nn.GELU():
            return Operation(type(module).__name__.lower())
        case nn.Linear():
            sizes = (module.in_features, module.out_features)
            return Operation("linear", sizes, (module.weight, module.bias))
        case nn.Conv2d():
            sizes = (module.in_channels, module.out_channels)
            return Operation("conv", sizes, (module.weight, module.bias))  # type: ignore[arg-type]
        case nn.GroupNorm():
            return Operation("norm", (module.num_groups,), (module.weight, module.bias))
    raise TypeError(f"the page has no operation for {type(module).__name__}")


LINK = "decoder.js"
MAX_ITEMS = 500  # test items on the map
TESTED_SAMPLES = 64  # at which rounded weights are compared with exact ones
TOLD_VALUES = 500  # of a number that the model is told
MAX_WEIGHTS = 4_000_000  # of a decoder in a page: 8 MB
MAX_MULTIPLY_ADDS = 60_000_000  # per item: a tenth of a second in a browser
MAX_TILE_PIXELS = 4_000_000  # of all tiles together
TILES = range(5, 32)  # tiles along an edge of the plane
HALF_GREY_LEVEL = 0.5 / 255


@dataclass(frozen=True)
class Page:
    """A page as one file.

    Attributes:
        html: its content.
        remark: how it differs from the page of the server; empty if it does not.
    """

    html: str
    remark: str


def export_page(model: TrainedModel, scene: Scene) -> Page:
    """The page with the decoder, or with pictures that were decoded before.

    Raises:
        UsageError: the decoder is too large, and its items are not images.
    """
    few = scene.with_fewer_items(MAX_ITEMS)
    obstacle = find_obstacle(model.model)
    if not obstacle:
        network = quantize(model, few)
        decoder = pack(list_decoding(network), list_scales(network.codec))
        if network.condition is not None:
            decoder["condition"] = list_condition(network.condition)
        facts = {**few.facts(), "decoder": decoder}
        return Page(make_document(scene.title, facts, LINK), "")
    if not scene.spec.is_image:
        raise UsageError(f"{obstacle}: use vae explore without {mark('export')}")
    plane, tiles = decode_plane(model, few)
    edge, told = tiles["columns"], ""
    if model.spec.condition:
        told = ", all with the condition at which the page starts"
    remark = (
        f"{obstacle}: this page has {edge}x{edge} pictures of the plane of the two principal "
        f"directions, which were decoded before{told}"
    )
    return Page(make_document(scene.title, {**plane.facts(), "tiles": tiles}, LINK), remark)


def find_obstacle(model: LatentModel) -> str:
    """Why a page cannot contain the decoder of a model; empty if it can."""
    try:
        steps, scales = list_decoding(model), list_scales(model.codec)
    except TypeError as error:
        return str(error)
    weights = sum(tensor.numel() for step in steps for tensor in step.weights)
    weights += sum(scale.numbers.numel() for scale in scales)
    multiply_adds = count_multiply_adds(steps)
    if weights <= MAX_WEIGHTS and multiply_adds <= MAX_MULTIPLY_ADDS:
        return ""
    return (
        f"a decoder of {weights / 1e6:.1f} M weights and {multiply_adds / 1e6:.0f} M "
        "multiply-adds is too large for a page"
    )


def quantize(trained: TrainedModel, scene: Scene) -> LatentModel:
    """The model with a decoder of float16 weights, if they change no pixel by half a grey level.

    This is tested at the latents of the map and at 64 samples from the prior, with the conditions
    of training items if the model has any. The decoder of a table is not changed, because its
    columns may have any scale.
    """
    model = trained.model
    if isinstance(model.codec, TableCodec):
        return model
    known, _ = known_conditions(trained)
    told = trained.condition(known[:TESTED_SAMPLES] if known.shape[1] else None, TESTED_SAMPLES)
    samples = sample_latents(model, TESTED_SAMPLES, Noise(0, model.device), y=told)
    z = torch.cat([torch.from_numpy(scene.latents).to(model.device), samples])
    y = trained.condition(known[np.arange(len(z)) % len(known)] if known.shape[1] else None, len(z))
    rounded = copy.deepcopy(model)
    rounded.decoder.half().float()
    with torch.no_grad():
        exact, close = model.decode(z, y).mean, rounded.decode(z, y).mean
    is_close = float((exact - close).abs().max()) < HALF_GREY_LEVEL
    return rounded if is_close else model


def list_condition(condition: Condition) -> dict[str, Any]:
    """How the page encodes what the model is told.

    A measured column has values that occur in the training set, with what the networks are told of
    them; what is between two of them is on a line.
    """
    layout, known, measured = condition.codec.layout, condition.known.rows, []
    for number, place in enumerate(layout.measured):
        values = known[:, place]
        values = values[~values.isnan()].unique()
        values = values[torch.from_numpy(evenly_spaced(len(values), TOLD_VALUES))]
        rows = torch.full((len(values), known.shape[1]), torch.nan, dtype=torch.float64)
        rows[:, place] = values
        scores = condition.encode(rows)[:, number]
        table = {"values": to_base64(values.numpy()), "scores": to_base64(scores.numpy())}
        measured.append({"place": place, **table})
    sizes = zip(layout.categorical, layout.sizes, strict=True)
    return {
        "measured": measured,
        "categories": [{"place": place, "size": size} for place, size in sizes],
        "learned": list(layout.learned),
    }


def pack(steps: list[Operation], scales: list[Scale]) -> dict[str, Any]:
    """The operations and the scales, and all their numbers in one text each."""
    tensors = [tensor.detach().cpu().float() for step in steps for tensor in step.weights]
    weights = torch.cat([tensor.flatten() for tensor in tensors])
    short = bool((weights.half().float() == weights).all())
    exact = torch.cat([torch.zeros(0).double(), *(scale.numbers for scale in scales)])
    return {
        "operations": [[step.name, *step.sizes] for step in steps],
        "width": 2 if short else 4,
        "weights": _compress(weights.numpy().astype("<f2" if short else "<f4")),
        "scales": [[scale.name, len(scale.numbers)] for scale in scales],
        "numbers": _compress(exact.numpy().astype("<f8")),
    }


def _compress(values: np.ndarray) -> str:
    """Numbers with their first bytes side by side, then their second ones, as deflate likes it."""
    planes = values.view(np.uint8).reshape(-1, values.itemsize).T
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return _base64(deflate.compress(planes.tobytes()) + deflate.flush())


def decode_plane(model: TrainedModel, scene: Scene) -> tuple[Scene, dict[str, Any]]:
    """The plane of the two principal directions as a latent space of its own, and its pictures."""
    spec, axes = scene.spec, scene.axes
    points = (scene.latents - scene.center) @ axes.T
    low, high = (points.min(0), points.max(0)) if len(points) else (np.full(2, -3), np.full(2, 3))
    count = min(max(isqrt(MAX_TILE_PIXELS // prod(spec.shape[1:])), TILES.start), TILES.stop - 1)
    xs, ys = (np.linspace(low[axis], high[axis], count, dtype=np.float32) for axis in (0, 1))
    grid = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2)
    items = model.decode(scene.center + grid @ axes, repeat_told(scene, len(grid)))
    tiles = {
        "columns": count,
        "edge": [float(value) for value in (low[0], high[0], low[1], high[1])],
        "image": f"data:image/webp;base64,{_encode_tiles(items, count)}",
    }
    start, samples = (
        ((latents - scene.center) @ axes.T).astype(np.float32)
        for latents in (
            scene.start,
            model.sample_latents(PRIOR_SAMPLES, repeat_told(scene, PRIOR_SAMPLES), seed=0),
        )
    )
    plane = dataclasses.replace(
        scene.without_condition(),
        dims=("PC 1", "PC 2"),
        kl=scene.explained_variance_ratio * 100,
        unit="%",
        latents=points.astype(np.float32),
        axes=np.eye(2, dtype=np.float32),
        center=np.zeros(2, np.float32),
        start=start,
        samples=samples,
    )
    return plane, tiles


def repeat_told(scene: Scene, count: int) -> np.ndarray | None:
    """What the model is told at the start, for so many items: `(count, C)`; None if it is not."""
    return np.tile(scene.told, (count, 1)) if len(scene.told) else None


def _encode_tiles(items: np.ndarray, columns: int) -> str:
    """Images side by side, row by row, as one WebP picture."""
    buffer = io.BytesIO()
    to_picture(tile(to_pixels(items), columns, gap=0)).save(buffer, "WEBP", quality=90)
    return _base64(buffer.getvalue())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
