"""A decoder as a list of operations and their weights, which the page executes (decoder.js)."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from vae_cli.model import (
    VAE,
    ColumnGaussian,
    ConvDecoder,
    DiscretizedLogistic,
    LatentModel,
    MLPDecoder,
)
from vae_cli.model.networks.conv import Block
from vae_cli.model.networks.layers import Gated


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


def list_decoding(model: LatentModel) -> list[Operation]:
    """The operations from a latent to an item in the units of the data.

    Raises:
        TypeError: the page has no operation for a layer.
    """
    if not isinstance(model, VAE):
        raise TypeError("a page cannot compute a hierarchical decoder")
    steps = list(list_operations(model.decoder))
    match model.likelihood:
        case ColumnGaussian():
            pass
        case DiscretizedLogistic(components=components):
            steps.append(Operation("mixture", (components,)))
        case _:
            steps.append(Operation("sigmoid"))
    if model.columns is not None:
        steps.append(Operation("scale", (), (model.columns.std, model.columns.mean)))
    return steps


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
