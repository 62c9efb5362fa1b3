"""The page as one file: the decoder or the pictures in it, and its operations in JavaScript."""

import base64
import copy
import html
import io
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from explore.browser import Array, grey_levels
from models import spec_of
from PIL import Image
from selenium.webdriver import Chrome
from torch import Generator, Tensor, nn

import vae_cli
from vae_cli.api.model import TrainedModel
from vae_cli.data.columns import CellFormat, Column
from vae_cli.data.dataset import Spec, TableRules
from vae_cli.data.split import InMemory
from vae_cli.errors import UsageError
from vae_cli.explore import export
from vae_cli.explore.export import (
    Operation,
    count_multiply_adds,
    export_page,
    find_obstacle,
    list_decoding,
    list_operations,
    list_scales,
    pack,
)
from vae_cli.explore.scene import PRIOR_SAMPLES, Scene, build_scene
from vae_cli.model import LatentModel, MLPDecoder, TableCodec
from vae_cli.model.likelihoods import HalfVarianceNormal, Likelihood
from vae_cli.model.networks.conv import Block
from vae_cli.settings import choose, entries, merge, sections


@pytest.fixture(scope="module")
def scene(model: TrainedModel) -> Scene:
    return build_scene(model, model.test_set())


def read_facts(page: str) -> dict[str, Any]:
    """The facts in a page."""
    (text,) = re.findall(r'<script type="application/json" id="facts">(.*?)</script>', page)
    return dict(json.loads(text))


def unpack(decoder: dict[str, Any]) -> Array:
    """The weights, as decoder.js reads them."""
    width = decoder["width"]
    planes = zlib.decompress(base64.b64decode(decoder["weights"]), -zlib.MAX_WBITS)
    content = np.frombuffer(planes, np.uint8).reshape(width, -1).T.tobytes()
    return np.frombuffer(content, f"<f{width}")


# ------------------------------------------------------------------- the decoder


def test_the_page_contains_the_decoder_in_float16_and_is_small(
    model: TrainedModel, scene: Scene
) -> None:
    page = export_page(model, scene)
    assert page.remark == ""
    assert len(page.html.encode()) < 900_000
    facts = read_facts(page.html)
    assert "tiles" not in facts
    assert facts["decoder"]["width"] == 2
    names = [name for name, *_ in facts["decoder"]["operations"]]
    assert names == ["linear", "relu", "linear", "view", "sigmoid"]
    weights = torch.cat(
        [
            tensor.flatten()
            for step in list_operations(model.model.decoder)
            for tensor in step.weights
        ]
    )
    np.testing.assert_array_equal(unpack(facts["decoder"]), weights.detach().half().float())
    assert len(base64.b64decode(facts["items"])) == 4 * 500


def test_the_page_loads_nothing(model: TrainedModel, scene: Scene) -> None:
    text = export_page(model, scene).html
    assert "default-src 'none'" in text
    assert not any(word in text for word in ("http://", "https://", '<link rel="s', "<script src"))


def test_names_cannot_end_the_script_or_add_elements(model: TrainedModel, scene: Scene) -> None:
    name = "</script><img src=x onerror=alert(1)>&\"'"
    spec = replace(model.spec, classes=(name, *model.spec.classes[1:]))
    text = export_page(model, replace(scene, title=name, spec=spec)).html
    assert name not in text
    assert f"<title>{html.escape(name)}</title>" in text
    facts = read_facts(text)
    assert (facts["title"], facts["classes"][0]) == (name, name)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_packed_weights_are_restored_bit_for_bit(dtype: torch.dtype) -> None:
    layer = torch.nn.Linear(7, 5)
    layer.weight.data = layer.weight.data.to(dtype).float()
    layer.bias.data = layer.bias.data.to(dtype).float()
    packed = pack(list(list_operations(layer)), [])
    assert packed["width"] == torch.finfo(dtype).bits // 8
    assert packed["operations"] == [["linear", 7, 5]]
    weights = torch.cat([layer.weight.flatten(), layer.bias]).detach()
    assert unpack(packed).tolist() == weights.tolist()


def test_weights_stay_exact_if_rounding_would_change_a_pixel(
    model: TrainedModel, scene: Scene
) -> None:
    sharp = copy.deepcopy(model.model)
    with torch.no_grad():
        for parameter in sharp.decoder.project.parameters():  # type: ignore[union-attr]
            parameter.mul_(1000)
    facts = read_facts(export_page(replace(model, model=sharp), scene).html)
    assert facts["decoder"]["width"] == 4
    weights = [tensor for step in list_operations(sharp.decoder) for tensor in step.weights]
    expected = torch.cat([tensor.detach().flatten() for tensor in weights])
    assert unpack(facts["decoder"]).tolist() == expected.tolist()


def test_the_decoder_of_a_table_is_exact(table: TrainedModel) -> None:
    decoder = read_facts(export_page(table, build_scene(table, table.test_set())).html)["decoder"]
    assert decoder["width"] == 4
    assert decoder["operations"][:3] == [["linear", 2, 8], ["relu"], ["linear", 8, 3]]
    codec = table.model.codec
    assert isinstance(codec, TableCodec)
    numbers = torch.cat([scale.numbers for scale in list_scales(codec)])
    assert unpack({"width": 8, "weights": decoder["numbers"]}).tolist() == numbers.tolist()


# ------------------------------------------------------- a decoder that is too large


@pytest.mark.parametrize("limit", ["MAX_WEIGHTS", "MAX_MULTIPLY_ADDS"])
def test_a_decoder_that_is_too_large_is_replaced_by_pictures(
    model: TrainedModel, scene: Scene, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, limit, 1000)
    page = export_page(model, scene)
    assert re.fullmatch(
        r"a decoder of 0\.3 M weights and 0 M multiply-adds is too large for a page: "
        r"this page has 31x31 pictures of the plane .* which were decoded before",
        page.remark,
    )
    facts = read_facts(page.html)
    assert "decoder" not in facts
    assert (facts["dims"], facts["unit"]) == (["PC 1", "PC 2"], "%")

    few = scene.with_fewer_items(500)
    points = (few.latents - few.center) @ few.axes.T
    samples = np.frombuffer(base64.b64decode(facts["samples"]), "<f4").reshape(-1, 2)
    expected = (model.sample_latents(PRIOR_SAMPLES, seed=0) - few.center) @ few.axes.T
    np.testing.assert_allclose(samples, expected, rtol=1e-4, atol=1e-5)
    tiles = facts["tiles"]
    edges = [points[:, 0].min(), points[:, 0].max(), points[:, 1].min(), points[:, 1].max()]
    np.testing.assert_allclose(tiles["edge"], edges, rtol=1e-4)
    content = base64.b64decode(tiles["image"].removeprefix("data:image/webp;base64,"))
    with Image.open(io.BytesIO(content)) as picture:
        sheet = np.array(picture.convert("RGB")).astype(int)
    count = tiles["columns"]
    assert count == 31
    assert sheet.shape == (28 * count, 28 * count, 3)
    for column, row in ((0, 0), (30, 0), (4, 17), (30, 30)):
        at = [
            low + (high - low) * number / (count - 1)
            for number, low, high in ((column, *edges[:2]), (row, *edges[2:]))
        ]
        expected = grey_levels(model.decode(few.center + np.float32(at) @ few.axes)[0])
        tile = sheet[28 * row : 28 * (row + 1), 28 * column : 28 * (column + 1)]
        assert np.abs(tile - expected).mean() < 4, "WebP is lossy"


def test_large_pictures_have_fewer_tiles(
    model: TrainedModel, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MAX_WEIGHTS", 1000)
    monkeypatch.setattr(export, "MAX_TILE_PIXELS", 10 * 10 * 28 * 28)
    assert read_facts(export_page(model, scene).html)["tiles"]["columns"] == 10
    monkeypatch.setattr(export, "MAX_TILE_PIXELS", 1)
    assert read_facts(export_page(model, scene).html)["tiles"]["columns"] == 5


def test_pictures_are_decoded_without_a_test_set_too(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MAX_WEIGHTS", 1000)
    facts = read_facts(export_page(model, build_scene(model, None)).html)
    assert facts["tiles"]["edge"] == [-3, 3, -3, 3]


def test_a_table_whose_decoder_is_too_large_is_refused(
    table: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MAX_WEIGHTS", 10)
    with pytest.raises(UsageError, match=r"too large for a page: use vae explore without export$"):
        export_page(table, build_scene(table, table.test_set()))


@final
class TwiceAsBright(Likelihood):
    """A likelihood that the page does not know."""

    def forward(self, outputs: Tensor) -> HalfVarianceNormal:
        return HalfVarianceNormal(2 * outputs.sigmoid())

    def outputs_for(self, mean: Tensor) -> Tensor:
        return (mean / 2).logit()


def test_a_mean_that_the_page_cannot_compute_is_decoded_before(model: TrainedModel) -> None:
    network = copy.deepcopy(model.model)
    network.likelihood = TwiceAsBright()
    assert find_obstacle(network) == "a page cannot compute the mean of TwiceAsBright"
    assert find_obstacle(model.model) == ""


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
Promise.all(decoders.map(async (decoder) => {
  const decode = await buildDecoder(decoder);
  return latents.map((z) => [...decode(z)]);
})).then(done, (error) => done(String(error)));
"""
LIKELIHOODS = next(part for part in sections() if part.name == "likelihood")
Tables = dict[str, dict[str, object]]


def list_models() -> dict[str, tuple[tuple[int, ...], Tables]]:
    """Each likelihood, activation and kind of layer of the schema: the shape and the settings."""
    models: dict[str, tuple[tuple[int, ...], Tables]] = {}
    for name in LIKELIHOODS.names:
        if name != "auto" and not LIKELIHOODS.find(name).is_for_rows:
            small = {"network": "mlp", "hidden": [9, 8]}
            models[name] = (3, 6, 7), {"likelihood": {"name": name}, "model": small}
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


def build(spec: Spec, tables: Tables, train: InMemory | None = None) -> LatentModel:
    """A model with random weights."""
    config = choose(merge(("", {"model": {"latent_dim": LATENT_DIM}}), ("", tables)), spec)
    model = config.build_model(spec, config.likelihood.build_codec(spec, train)).eval()
    randomize(model)
    return model


def build_for_rows(normalization: str) -> LatentModel:
    """A model of a table with columns of every kind, with holes, atoms and large numbers."""
    cents, days = CellFormat(decimals=2), 86_400.0
    columns = (
        Column(name="cut", kind="category", categories=("Fair", "Good", "Ideal")),
        Column(name="price", format=cents),
        Column(name="same", kind="constant", categories=("x",)),
        Column(name="age", kind="integer"),
        Column(name="day", kind="date"),
        Column(name="time", kind="date"),
        Column(name="zip", kind="category", categories=tuple(map(str, range(40)))),
        Column(name="weight", normalization="standard"),
        Column(name="ratio"),
        Column(name="never", kind="integer"),
    )
    draw, count = np.random.default_rng(0), 400
    rows = [
        draw.integers(3, size=count),
        np.where(draw.random(count) < 0.4, 0, draw.lognormal(3, 1, count).round(2)),
        np.zeros(count),
        draw.poisson(3, count),
        days * draw.integers(10_000, 20_000, count),
        1.7e9 + draw.integers(0, 10_000, count),
        draw.integers(40, size=count),
        1e6 + draw.normal(size=count),
        draw.beta(0.5, 0.5, count) * 1e-3,
        np.full(count, np.nan),
    ]
    items = torch.from_numpy(np.stack(rows, 1).astype(np.float64))
    items[::7, 3] = torch.nan
    spec = Spec("x", (len(columns),), columns=columns, table=TableRules(missing="model"))
    tables = {
        "model": {"network": "mlp", "hidden": [9, 8]},
        "likelihood": {"name": "columns", "normalization": normalization},
    }
    return build(spec, tables, InMemory.whole(items))


def decode(model: LatentModel, z: Tensor) -> Tensor:
    """What the page shows: an image, or values of columns and probabilities of categories."""
    mean = model.decode(z).mean
    items = model.codec.decode(mean)
    if not isinstance(model.codec, TableCodec):
        return items
    layout = model.codec.layout
    _, shares, _ = layout.split(mean)
    return torch.cat([items[:, layout.measured], shares.double()], 1)


@torch.no_grad()
def test_the_javascript_of_the_page_decodes_every_likelihood_and_layer_as_torch_does(
    browser: Chrome, subtests: pytest.Subtests
) -> None:
    cases = list_models()
    models = {name: build(spec_of(shape), tables) for name, (shape, tables) in cases.items()}
    models |= {name: build_for_rows(name) for name in ("quantile", "standard")}
    models["one logistic"].decoder.half().float()  # as most pages have it
    packed = {
        name: pack(list_decoding(model), list_scales(model.codec)) for name, model in models.items()
    }
    assert {one["width"] for one in packed.values()} == {2, 4}
    z = torch.randn(3, LATENT_DIM, generator=Generator().manual_seed(1))
    browser.get("about:blank")
    found = browser.execute_async_script(SCRIPT + DECODE, list(packed.values()), z.tolist())
    assert not isinstance(found, str), found
    for (name, model), items in zip(models.items(), found, strict=True):
        with subtests.test(name):
            expected = decode(model, z).double()
            close = torch.tensor(items, dtype=torch.float64).view_as(expected)
            rtol = 1e-4 if name in cases else 1e-8  # seconds since 1970 are large
            torch.testing.assert_close(close, expected, rtol=rtol, atol=1e-5)


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
