"""The operations of a decoder, which decoder.js executes in the page."""

from pathlib import Path

import pytest
import torch
from selenium.webdriver import Chrome
from torch import Generator, nn

import vae_cli
from vae_cli.explore.export import (
    Operation,
    count_multiply_adds,
    list_decoding,
    list_operations,
    pack,
)
from vae_cli.model import LatentModel, MLPDecoder, TableCodec
from vae_cli.model.networks.conv import Block
from vae_cli.settings import choose, entries, merge, sections

LATENT_DIM = 3
STATIC = Path(vae_cli.__file__).parent / "explore/static"


def randomize(module: nn.Module) -> nn.Module:
    """Give every parameter random values, because some start as 0 or 1."""
    generator = Generator().manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return module


# The page's own functions, without the part that draws.
SCRIPT = "".join(
    (STATIC / name).read_text().partition("const facts")[0] for name in ("numbers.js", "decoder.js")
)
DECODE = """
const [decoders, latents] = arguments, done = arguments[arguments.length - 1];
Promise.all(decoders.map(async ({ operations, width, weights }) => {
  const values = await unpack(weights, width);
  return latents.map((z) => [...applyOperations(operations, values, z)]);
})).then(done, (error) => done(String(error)));
"""
LIKELIHOODS = next(part for part in sections() if part.name == "likelihood")
Tables = dict[str, dict[str, object]]


def list_models() -> dict[str, tuple[tuple[int, ...], Tables]]:
    """Each likelihood, activation and kind of layer of the schema: the shape and the settings."""
    models: dict[str, tuple[tuple[int, ...], Tables]] = {}
    for name in LIKELIHOODS.names:
        if name != "auto":
            shape = (5,) if LIKELIHOODS.find(name).is_for_rows else (3, 6, 7)
            small = {"network": "mlp", "hidden": [9, 8]}
            models[name] = shape, {"likelihood": {"name": name}, "model": small}
    for entry in entries():
        for word in entry.choices if entry.key == "model.activation" else ():
            conv = {"network": "conv", "activation": word}
            models[f"conv with {word}"] = (3, 17, 30), {"model": conv}
    gated = {"network": "mlp", "hidden": [9], "gated": True}
    logistic = {"name": "logistic", "components": 1}
    return models | {
        "gated": ((1, 5, 4), {"model": gated}),
        "several blocks": ((1, 16, 20), {"model": {"network": "conv", "preset": "base"}}),
        "one logistic": ((3, 16, 16), {"model": {"network": "conv"}, "likelihood": logistic}),
    }


def build(shape: tuple[int, ...], tables: Tables) -> LatentModel:
    """A model with random weights, and columns of any scale if it is for rows."""
    config = choose(merge(("", {"model": {"latent_dim": LATENT_DIM}}), ("", tables)), shape)
    generator = Generator().manual_seed(2)
    model = config.build_model(shape).eval()
    if isinstance(model.codec, TableCodec):
        model.codec.mean.normal_(generator=generator)
        model.codec.std.uniform_(1e-3, 1e3, generator=generator)
    randomize(model)
    return model


@torch.no_grad()
def test_the_javascript_of_the_page_decodes_every_likelihood_and_layer_as_torch_does(
    browser: Chrome, subtests: pytest.Subtests
) -> None:
    models = {name: build(*case) for name, case in list_models().items()}
    models["one logistic"].decoder.half().float()  # as most pages have it
    packed = {name: pack(list_decoding(model)) for name, model in models.items()}
    assert {one["width"] for one in packed.values()} == {2, 4}
    z = torch.randn(3, LATENT_DIM, generator=Generator().manual_seed(1))
    browser.get("about:blank")
    found = browser.execute_async_script(SCRIPT + DECODE, list(packed.values()), z.tolist())
    assert not isinstance(found, str), found
    for (name, model), items in zip(models.items(), found, strict=True):
        with subtests.test(name):
            expected = model.codec.decode(model.decode(z).mean).float()
            close = torch.tensor(items).view_as(expected)
            torch.testing.assert_close(close, expected, rtol=1e-4, atol=1e-5)


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
