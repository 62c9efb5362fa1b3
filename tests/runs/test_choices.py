"""The choices about the model that depend on the data, and what is refused before a training."""

from typing import Any

import pytest

from vae_cli.errors import UsageError
from vae_cli.settings import ModelConfig, merge
from vae_cli.settings.choices import choose_model, choose_network

IMAGE, ROW = (1, 28, 28), (13,)
Tables = dict[str, dict[str, Any]]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 28, 28), "mlp"),
        ((13,), "mlp"),
        ((3, 28, 28), "conv"),
        ((1, 64, 64), "conv"),
        ((1, 8, 8), "mlp"),
        ((1, 9, 300), "mlp"),
    ],
)
def test_the_network_that_auto_chooses_suits_the_items(
    shape: tuple[int, ...], expected: str
) -> None:
    assert choose_network(ModelConfig(), shape) == expected


@pytest.mark.parametrize("shape", [(13,), (1, 8, 8), (1, 300, 300)])
def test_a_conv_is_refused_for_items_that_it_cannot_take(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="--model conv takes images from 16x16 to 256x256, not"):
        choose_network(ModelConfig(network="conv"), shape)


@pytest.mark.parametrize("shape", [(1, 300, 300), (3, 257, 257)])
@pytest.mark.parametrize("network", ["auto", "conv"])
def test_no_network_is_chosen_for_images_that_are_too_large(
    shape: tuple[int, ...], network: str
) -> None:
    with pytest.raises(UsageError, match=r"--image-size 256 resizes the pictures of a folder$"):
        choose_network(ModelConfig(network=network), shape)
    assert choose_network(ModelConfig(network="mlp"), shape) == "mlp"


def test_the_likelihood_that_auto_chooses_suits_the_items() -> None:
    assert choose_model(merge(), IMAGE).likelihood.name == "mse"
    assert choose_model(merge(), ROW).likelihood.name == "columns"


LADDER: Tables = {"model": {"network": "hierarchical"}}
REFUSED: list[tuple[Tables, tuple[int, ...], str]] = [
    (
        {"model": {"preset": "large"}},
        IMAGE,
        "--preset is for --model conv or hierarchical, not mlp",
    ),
    ({"model": {"preset": "large"}}, ROW, "--preset is for --model conv or hierarchical, not mlp"),
    ({"model": {"hidden": [9]}}, (3, 64, 64), "--hidden is for --model mlp or two-level, not conv"),
    (
        {"model": {"gated": True}},
        (3, 64, 64),
        "model.gated is for --model mlp or two-level, not conv",
    ),
    ({"objective": {"samples": 9}}, IMAGE, "objective.samples is for --objective iwae or dreg"),
    ({"objective": {"name": "iwae", "beta": 2.0}}, IMAGE, "--beta is for --objective elbo or tc"),
    ({"objective": {"warmup_cycles": 4}}, IMAGE, "needs objective.warmup_epochs"),
    ({"likelihood": {"scale": "optimal"}}, IMAGE, "is for --likelihood gaussian, not mse"),
    ({"likelihood": {"name": "bernoulli"}}, ROW, "--likelihood bernoulli is for images"),
    ({"likelihood": {"name": "columns"}}, IMAGE, "--likelihood columns is for tables"),
    ({"prior": {"components": 9}}, IMAGE, "is for --prior vamp or mog, not normal"),
    (
        {"prior": {"name": "mog"}, "objective": {"free_bits": 0.5}},
        IMAGE,
        "free bits need --set objective.free_bits_by=level",
    ),
    ({"prior": {"name": "realnvp"}, "model": {"latent_dim": 1}}, IMAGE, "must be 2 or more"),
    ({"optimizer": {"name": "normgrad", "clip_norm": 1.0}}, IMAGE, "is for optimizer.name adam or"),
    ({"model": {"levels": 2}}, IMAGE, "model.levels is for --model hierarchical, not mlp"),
    ({"model": {"level_channels": 2}}, IMAGE, "is for --model hierarchical, not mlp"),
    (LADDER | {"objective": {"name": "dreg"}}, IMAGE, "--objective dreg is for one level"),
    (LADDER | {"objective": {"name": "tc"}}, IMAGE, "--objective tc is for one level"),
    (LADDER | {"objective": {"name": "mmd"}}, IMAGE, "--objective mmd is for one level"),
    (LADDER | {"prior": {"name": "vamp"}}, IMAGE, "--prior vamp is for one level of latents"),
    (LADDER, ROW, "--model hierarchical takes images from 16x16 to 64x64, not vectors: try mlp"),
    (LADDER, (1, 8, 8), "16x16 to 64x64, not images of 8x8: try mlp"),
    (LADDER, (1, 65, 64), "not images of 65x64: try conv, or --image-size 64 for a folder"),
    ({"optimizer": {"weight_decay": 0.1}}, IMAGE, "is for optimizer.name adamw, not adam"),
]


@pytest.mark.parametrize(("tables", "shape", "message"), REFUSED)
def test_settings_that_make_no_sense_together_are_refused_in_one_line(
    tables: Tables, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(UsageError) as error:
        choose_model(merge(("", tables)), shape)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("objective", ["elbo", "capacity", "iwae", "miwae"])
@pytest.mark.parametrize("prior", ["normal", "mog", "realnvp"])
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 64, 17)])
def test_the_hierarchical_network_takes_the_other_objectives_and_priors(
    objective: str, prior: str, shape: tuple[int, ...]
) -> None:
    tables = LADDER | {"objective": {"name": objective}, "prior": {"name": prior}}
    assert choose_model(merge(("", tables)), shape).model.network == "hierarchical"


def test_what_makes_sense_is_left_as_it_is() -> None:
    tables: Tables = {
        "model": {"network": "mlp", "gated": True, "hidden": [300, 300]},
        "objective": {"free_bits": 0.5, "free_bits_by": "level", "warmup_epochs": 9},
        "prior": {"name": "vamp", "components": 20},
        "likelihood": {"name": "binarized"},
        "optimizer": {"name": "adamw", "weight_decay": 0.1, "clip_norm": 5.0, "ema": 0.99},
    }
    config = merge(("", tables))
    assert choose_model(config, IMAGE) == config
