"""Networks that are too large are refused, with a size that works, before a run begins."""

from pathlib import Path

import numpy as np
import pytest
from models import spec_of
from PIL import Image
from support import Refused

from vae_cli.errors import UsageError
from vae_cli.runs.resolve import (
    MAX_TRAINING_BYTES,
    require_affordable,
    training_bytes,
)
from vae_cli.settings import Plan, choose, merge


def mlp(*hidden: int) -> Plan:
    """An mlp, for any items."""
    return choose(
        merge(("", {"model": {"network": "mlp", "hidden": hidden or (400,)}})), spec_of(ITEM)
    )


ITEM = (1, 28, 28)
TOO_LARGE = "--model conv takes images from 16x16 to 256x256, not images of"


def check(plan: Plan, shape: tuple[int, ...], *, resizable: bool) -> None:
    require_affordable(
        plan, plan.build_on_meta(spec_of(shape)), spec_of(shape), resizable=resizable
    )


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pictures of 600x600; the cache for decoded pictures is empty."""
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        noise = np.random.default_rng(number).integers(0, 256, (600, 600, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.jpg")
    return folder


def test_the_memory_of_a_network_is_that_of_four_float32_numbers_per_parameter() -> None:
    model = mlp().build_on_meta(spec_of((1, 28, 28)))
    bytes_of_weights = sum(one.numel() * one.element_size() for one in model.parameters())
    assert training_bytes(model) == 4 * bytes_of_weights


@pytest.mark.parametrize(
    ("hidden", "shape", "resizable"),
    [
        ((65536,) * 3, (1, 28, 28), False),
        ((65536,) * 16, (3,), False),
        ((400,), (3, 512, 512), True),
        ((60000, 8), (3, 1024, 1024), True),
        ((3000,), (1, 300, 300), False),
    ],
)
def test_the_size_that_the_error_names_works(
    hidden: tuple[int, ...], shape: tuple[int, ...], resizable: bool
) -> None:
    config = mlp(*hidden)
    with pytest.raises(UsageError) as error:
        check(config, shape, resizable=resizable)
    parameters = training_bytes(config.build_on_meta(spec_of(shape))) // 16
    assert str(error.value).startswith(f"mlp with {parameters:,} parameters takes ")
    key, value = str(error.value).split(": try ")[1].split("=")
    if key == "data.image_size":
        shape = (shape[0], int(value), int(value))
    else:
        assert not resizable
        hidden = tuple(map(int, value.split(",")))
        config = mlp(*hidden)
    check(config, shape, resizable=resizable)
    assert training_bytes(config.build_on_meta(spec_of(shape))) <= MAX_TRAINING_BYTES


def test_items_that_are_too_large_for_any_network_are_refused() -> None:
    with pytest.raises(UsageError, match="make the items smaller"):
        check(mlp(), (4, 10_000, 10_000), resizable=False)


@pytest.mark.parametrize("preset", ["small", "base", "large"])
def test_every_conv_is_affordable(preset: str) -> None:
    tables = {"model": {"network": "conv", "preset": preset, "latent_dim": 4096}}
    check(choose(merge(("", tables)), spec_of(ITEM)), (4, 256, 256), resizable=True)


def test_large_pictures_are_refused_before_they_are_decoded(
    photos: Path, tmp_path: Path, refused: Refused
) -> None:
    line = refused("train", "--data", photos, "--image-size", 512)
    assert line.startswith(f"{TOO_LARGE} 512x512: --image-size 256")
    line = refused("train", "--data", photos, "--image-size", 512, "--model", "mlp")
    assert line == (
        "mlp with 629,956,872 parameters takes 9 GiB to train, and 4 GiB are allowed: "
        "try --image-size 256"
    )
    assert not (tmp_path / "cache").exists()


def test_huge_layers_are_refused_before_a_run_begins(refused: Refused) -> None:
    line = refused("train", *["--hidden", 65536] * 3)
    assert line == (
        "mlp with 17,286,955,832 parameters takes 258 GiB to train, and 4 GiB are allowed: "
        "try --hidden 4096,4096,4096"
    )
