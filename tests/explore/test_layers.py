"""The operations of a decoder, which decoder.js executes in the page."""

from collections.abc import Callable, Iterable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from vae_cli.explore.export import (
    Operation,
    count_multiply_adds,
    list_decoding,
    list_operations,
)
from vae_cli.model import PRESETS, ConvDecoder, MLPDecoder, plan
from vae_cli.model.networks.conv import Block
from vae_cli.settings import choose, merge

LATENT_DIM = 3


Apply = Callable[[Tensor, Sequence[int], Sequence[Tensor]], Tensor]
APPLY: dict[str, Apply] = {  # the operations of decoder.js on images
    "linear": lambda x, sizes, weights: F.linear(x, *weights),
    "conv": lambda x, sizes, weights: F.conv2d(x[None], *weights, padding=1)[0],
    "norm": lambda x, sizes, weights: F.group_norm(x[None], *sizes, *weights)[0],
    "resize": lambda x, sizes, weights: F.interpolate(x[None], sizes, mode="nearest-exact")[0],
    "view": lambda x, sizes, weights: x.view(*sizes),
    "relu": lambda x, sizes, weights: x.relu(),
    "sigmoid": lambda x, sizes, weights: x.sigmoid(),
    "tanh": lambda x, sizes, weights: x.tanh(),
    "silu": lambda x, sizes, weights: F.silu(x),
    "gelu": lambda x, sizes, weights: F.gelu(x),
    "gate": lambda x, sizes, weights: x.chunk(2)[0] * x.chunk(2)[1].sigmoid(),
    "mixture": lambda x, sizes, weights: mix(*x.unflatten(0, (3, sizes[0], -1))),
}


def mix(logits: Tensor, location: Tensor, _: Tensor) -> Tensor:
    """The mean of a mixture of logistics, as decoder.js computes it."""
    spread = torch.linspace(-0.4, 0.4, len(logits)).view(-1, 1, 1, 1)
    return (logits.softmax(0) * (0.5 + spread + location)).sum(0).clamp(0, 1)


def execute(operations: Iterable[Operation], z: Tensor) -> Tensor:
    """What decoder.js computes from the operations, for one latent `(D,)`."""
    x, kept = z, list[Tensor]()
    for operation in operations:
        if operation.name in {"linear", "conv"}:
            assert operation.sizes == (len(x), len(operation.weights[1]))
        if operation.name == "keep":
            kept.append(x)
        elif operation.name == "add":
            x = x + kept.pop()
        else:
            x = APPLY[operation.name](x, operation.sizes, operation.weights)
    assert not kept
    return x


def randomize(module: nn.Module) -> nn.Module:
    """Give every parameter random values, because some start as 0 or 1."""
    generator = Generator().manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return module


def conv_decoder(shape: Sequence[int], preset: str = "small") -> ConvDecoder:
    return ConvDecoder(plan(shape, PRESETS[preset]), LATENT_DIM)


DECODERS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: MLPDecoder((1, 5, 4), (8, 6), LATENT_DIM),
    "mlp in colour": lambda: MLPDecoder((3, 5, 4), (8,), LATENT_DIM),
    "conv": lambda: conv_decoder((1, 32, 32)),
    "conv of an odd size": lambda: conv_decoder((3, 17, 30)),
    "conv with several blocks": lambda: conv_decoder((1, 16, 20), "base"),
}


@pytest.mark.parametrize("make", DECODERS.values(), ids=DECODERS.keys())
@torch.no_grad()
def test_the_operations_compute_the_same_as_the_decoder(
    make: Callable[[], nn.Module],
) -> None:
    decoder = randomize(make())
    operations = list(list_operations(decoder))
    for z in torch.randn(3, LATENT_DIM, generator=Generator().manual_seed(1)):
        expected = decoder(z[None])[0]
        found = execute(operations, z).reshape(expected.shape)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


CONFIGS = [
    {"model": {"activation": "tanh", "hidden": [9]}},
    {"model": {"activation": "silu", "network": "conv"}},
    {"model": {"activation": "gelu", "hidden": [9]}, "likelihood": {"name": "laplace"}},
    {"model": {"gated": True, "hidden": [9]}, "likelihood": {"name": "binarized"}},
    {"model": {"hidden": [9]}, "likelihood": {"name": "logistic", "components": 4}},
    {"model": {"network": "conv"}, "likelihood": {"name": "logistic", "components": 1}},
]


@pytest.mark.parametrize("tables", CONFIGS, ids=str)
@torch.no_grad()
def test_the_operations_compute_the_mean_of_every_likelihood(
    tables: dict[str, dict[str, object]],
) -> None:
    config = merge(("", {"model": {"latent_dim": LATENT_DIM}}), ("", tables))
    model = choose(config, (3, 16, 18)).build_model((3, 16, 18)).eval()
    randomize(model)
    operations = list_decoding(model)
    for z in torch.randn(3, LATENT_DIM, generator=Generator().manual_seed(1)):
        expected = model.decode(z[None]).mean[0]
        found = execute(operations, z).reshape(expected.shape)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_layer_without_an_operation_is_an_error() -> None:
    with pytest.raises(TypeError, match="the page has no operation for ELU"):
        list(list_operations(nn.Sequential(nn.Linear(2, 2), nn.ELU())))


def test_multiply_adds_of_linear_layers_are_their_weights() -> None:
    operations = list(list_operations(MLPDecoder((1, 5, 4), (8, 6), LATENT_DIM)))
    assert count_multiply_adds(operations) == 3 * 6 + 6 * 8 + 8 * 20


def test_multiply_adds_of_convolutions_grow_with_the_area() -> None:
    operations = [
        Operation("linear", (3, 4 * 2 * 2), (torch.zeros(16, 3), torch.zeros(16))),
        Operation("view", (4, 2, 2)),
        *list_operations(Block(8)),
        Operation("resize", (6, 5)),
        *list_operations(nn.Conv2d(4, 2, 3, padding=1)),
    ]
    block = 2 * 8 * 8 * 9 * (2 * 2)
    assert count_multiply_adds(operations) == 3 * 16 + block + 4 * 2 * 9 * (6 * 5)
