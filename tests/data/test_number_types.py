"""One rule about types of numbers, for files and for the API."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vae_cli.api.arrays import to_tensor
from vae_cli.data.arrays import Arrays, fit_to_spec, read_arrays, to_unit_images
from vae_cli.data.dataset import PictureRules, Spec
from vae_cli.errors import UsageError

IMAGES, ROWS = Spec("images", (1, 4, 4)), Spec("rows", (2,), columns=("a", "b"))
REFUSED_IMAGES = [
    *("bool", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"),
    *("complex64", "float8_e4m3fn"),
]
ACCEPTED_ROWS = [
    *("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64"),
]
REFUSED_ROWS = ["bool", "complex64", "float8_e4m3fn"]
Read = Callable[[torch.Tensor, Path], torch.Tensor]


def from_file(items: torch.Tensor, path: Path) -> torch.Tensor:
    """What is read from an array file."""
    save_file({"x": items}, path / "x.safetensors")
    return read_arrays(path / "x.safetensors")


def from_caller(items: torch.Tensor, path: Path) -> torch.Tensor:
    """What the API takes."""
    return fit_to_spec(items, ROWS if items.ndim == 2 else IMAGES)


@pytest.mark.parametrize("name", REFUSED_IMAGES)
def test_images_of_other_types_are_refused_by_the_name_of_the_type(name: str) -> None:
    reason = f"holds {name}: images are uint8, or floats in .0, 1.; convert it first"
    images = torch.ones(3, 1, 4, 4).to(getattr(torch, name))
    with pytest.raises(UsageError, match=reason):
        fit_to_spec(images, IMAGES)
    with pytest.raises(UsageError, match=reason):
        to_unit_images(images, None, "x.npy")


@pytest.mark.parametrize("name", REFUSED_IMAGES)
def test_images_in_files_need_a_range_if_they_have_another_type(tmp_path: Path, name: str) -> None:
    """Each number from 0 to 127 in one image, so that every type has them all, but bool."""
    images = torch.arange(128).view(128, 1, 1).expand(-1, 4, 4).to(getattr(torch, name))
    save_file({"x": images.contiguous()}, tmp_path / "x.safetensors")
    if name == "bool":
        assert unit_values(Arrays(tmp_path / "x.safetensors", test_fraction=0.5)) == {0, 1}
    elif name in {"complex64", "float8_e4m3fn"}:
        with pytest.raises(UsageError, match=f"holds {name}: .*; convert it first"):
            Arrays(tmp_path / "x.safetensors", test_fraction=0.5)
    else:
        with pytest.raises(UsageError, match=rf"holds {name}: .*: try data.range=0:255"):
            Arrays(tmp_path / "x.safetensors", test_fraction=0.5).train()
        rules = PictureRules(value_range=(0, 127))
        found = unit_values(Arrays(tmp_path / "x.safetensors", rules=rules, test_fraction=0.5))
        assert sorted(found) == (torch.arange(128) / 127).tolist()


def unit_values(dataset: Arrays) -> set[float]:
    """What a network takes."""
    parts = (dataset.train(), dataset.test())
    return {value for part in parts for value in part.network_input(part.rows).unique().tolist()}


@pytest.mark.parametrize("read", [from_file, from_caller])
@pytest.mark.parametrize("name", ["uint8", "float16", "bfloat16", "float32", "float64"])
def test_images_are_bytes_or_floats_in_the_unit_interval(
    tmp_path: Path, read: Read, name: str
) -> None:
    items = read(torch.ones(3, 4, 4).to(getattr(torch, name)), tmp_path)
    assert items.shape == (3, 1, 4, 4)
    assert items.unique().tolist() == [1]


@pytest.mark.parametrize("read", [from_file, from_caller])
@pytest.mark.parametrize("name", REFUSED_ROWS)
def test_rows_of_other_types_are_refused_by_the_name_of_the_type(
    tmp_path: Path, read: Read, name: str
) -> None:
    with pytest.raises(UsageError, match=f"holds {name}: vectors are of real numbers"):
        read(torch.ones(3, 2).to(getattr(torch, name)), tmp_path)


@pytest.mark.parametrize("read", [from_file, from_caller])
@pytest.mark.parametrize("name", ACCEPTED_ROWS)
def test_rows_are_any_real_numbers_and_keep_their_values(
    tmp_path: Path, read: Read, name: str
) -> None:
    rows = torch.tensor([[1, 100], [3, 4], [5, 6]]).to(getattr(torch, name))
    items = read(rows, tmp_path)
    assert items.tolist() == [[1, 100], [3, 4], [5, 6]]
    assert items.min() == 1, "torch can compute with the type"


@pytest.mark.parametrize("name", ACCEPTED_ROWS)
def test_rows_of_every_type_can_be_divided(tmp_path: Path, name: str) -> None:
    rows = torch.arange(60).view(30, 2).to(getattr(torch, name))
    save_file({"x": rows}, tmp_path / "x.safetensors")
    dataset = Arrays(tmp_path / "x.safetensors", test_fraction=0.5)
    train, test = dataset.train(), dataset.test()
    assert len(train) + len(test) == 30
    assert train.items[train.rows].double().mean().isfinite()


def test_pictures_of_the_other_integer_type_are_not_silently_taken_for_floats() -> None:
    """They were: numbers from 0 to 255, neither scaled nor refused."""
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4))
    with pytest.raises(UsageError, match="the array holds int64: images are uint8"):
        fit_to_spec(to_tensor(images), IMAGES)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f4", "f8", "i2", "u4"])
def test_arrays_in_either_byte_order_are_taken(kind: str, order: str) -> None:
    array = np.array([[1, 2], [3, 4]], order + kind)
    assert to_tensor(array).tolist() == [[1, 2], [3, 4]]


def test_long_doubles_are_taken_as_doubles(tmp_path: Path) -> None:
    array = np.array([[1.5, 2], [3, 4]], np.longdouble)
    np.save(tmp_path / "x.npy", array)
    assert to_tensor(array).dtype == torch.float64
    assert read_arrays(tmp_path / "x.npy").tolist() == [[1.5, 2], [3, 4]]
