"""Array files that cost little to send and much to read: refused before memory is taken."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support import ProcessorTime

from vae_cli.api.arrays import to_tensor
from vae_cli.data import arrays, memory
from vae_cli.data.array_files import with_supported_type
from vae_cli.data.arrays import Arrays, fit_to_spec, read_arrays, to_unit_images
from vae_cli.data.columns import number_columns
from vae_cli.data.dataset import PictureRules, Spec
from vae_cli.errors import UsageError


def npy_header(shape: tuple[int, ...]) -> bytes:
    """A `.npy` file without its numbers."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def npy(path: Path, shape: tuple[int, ...]) -> Path:
    path = path / "x.npy"
    path.write_bytes(npy_header(shape))
    return path


def npz(path: Path, shape: tuple[int, ...]) -> Path:
    path = path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy_header(shape))
    return path


def safetensors(path: Path, shape: tuple[int, ...]) -> Path:
    path = path / "x.safetensors"
    header = json.dumps({"x": {"dtype": "U8", "shape": shape, "data_offsets": [0, 0]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


ABSURD_SHAPES = [
    (10**18, 0),
    (0, 10**18),
    (10**18, 0, 4),
    (10**18, 4),
    (10**18, 10**18),
    (2**63, 4),
    (2**62, 4, 4),
    (10**10, 10**10),
    (-1, 4),
    (-2, -2),
    (10**12, 28, 28),
    (5,) * 40,
]


@pytest.mark.parametrize("write", [npy, npz, safetensors])
def test_absurd_shapes_are_refused_at_once(
    tmp_path: Path, write: Callable[[Path, tuple[int, ...]], Path]
) -> None:
    honest, read, refused = tmp_path / "honest.npy", ProcessorTime(), ProcessorTime()
    np.save(honest, np.random.default_rng(0).integers(0, 256, (3000, 28, 28), np.uint8))
    for shape in ABSURD_SHAPES:
        path = write(tmp_path, shape)
        assert path.stat().st_size < 400
        with read:
            Arrays(honest, test_fraction=0.1).train()
        with refused, pytest.raises(UsageError, match=path.name) as refusal:
            Arrays(path, test_fraction=0.1).train()
        assert "\n" not in str(refusal.value)
    assert refused.mean < 20 * read.mean


def test_labels_of_an_absurd_shape_are_refused(tmp_path: Path) -> None:
    facts = {
        "labels": {"dtype": "I64", "shape": [10**18, 0], "data_offsets": [0, 0]},
        "x": {"dtype": "U8", "shape": [4, 2], "data_offsets": [0, 8]},
    }
    header = json.dumps(facts).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(range(8)))
    with pytest.raises(UsageError, match="1,000,000,000,000,000,000 labels for 4 items"):
        Arrays(path, test_fraction=0.5)


def test_an_archive_is_refused_by_its_unpacked_size(tmp_path: Path) -> None:
    """5 GiB of zeros, packed in blocks so that the test needs no memory either."""
    path = tmp_path / "x.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(npy_header((5 * 2**20, 32, 32)))
        block = bytes(2**24)
        for _ in range(8):  # as many as prove the point; the directory is changed below
            member.write(block)
    with zipfile.ZipFile(path, "a") as archive:
        archive.getinfo("x.npy").file_size = 5 * 2**30
        archive.writestr("note.txt", "makes the directory be written again")
    assert path.stat().st_size < 2**20
    with pytest.raises(UsageError, match=r"x\.npz would take 5\.0 GiB of memory.*as \.npy"):
        read_arrays(path)


def test_only_the_arrays_that_are_used_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_MEMORY", 1000)
    np.savez(tmp_path / "x.npz", images=np.zeros((4, 8, 8), np.uint8), other=np.zeros(10_000))
    assert read_arrays(tmp_path / "x.npz").shape == (4, 1, 8, 8)
    np.savez(tmp_path / "y.npz", images=np.zeros((16, 8, 8), np.uint8))
    with pytest.raises(UsageError, match=r"y\.npz would take"):
        read_arrays(tmp_path / "y.npz")
    with zipfile.ZipFile(tmp_path / "z.npz", "w") as archive:
        archive.writestr("x", bytes(2000))
    with pytest.raises(UsageError, match=r"z\.npz would take"):
        read_arrays(tmp_path / "z.npz")


def test_numbers_that_must_be_converted_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_MEMORY", 1000)
    np.save(tmp_path / "native.npy", np.zeros((100, 2)))
    assert read_arrays(tmp_path / "native.npy").shape == (100, 2), "it is memory-mapped"
    np.save(tmp_path / "swapped.npy", np.zeros((100, 2), ">f8"))
    with pytest.raises(UsageError, match=r"swapped\.npy would take"):
        read_arrays(tmp_path / "swapped.npy")
    with pytest.raises(UsageError, match="it would take"):
        with_supported_type(torch.zeros(200, 2, dtype=torch.bfloat16), "it", is_image=False)


def test_the_number_of_items_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_ITEMS", 10)
    np.save(tmp_path / "x.npy", np.zeros((11, 2)))
    with pytest.raises(UsageError, match=r"x\.npy holds 11 items: at most 10 are taken"):
        Arrays(tmp_path / "x.npy", test_fraction=0.5)


def test_the_number_of_classes_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MAX_CLASSES", 3)
    np.savez(tmp_path / "x.npz", x=np.zeros((5, 2)), y=np.array([0, 1, 2, 2, 3]))
    with pytest.raises(UsageError, match="labels must count from 0, up to at most 2"):
        Arrays(tmp_path / "x.npz", test_fraction=0.5)


@pytest.mark.parametrize("kind", ["damaged", "encrypted", "method", "array"])
def test_an_archive_that_cannot_be_unpacked_is_refused_in_one_line(
    tmp_path: Path, kind: str
) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.arange(1000).reshape(500, 2))
    content = bytearray(buffer.getvalue())
    central = content.index(b"PK\1\2")
    if kind == "damaged":
        content[100:120] = bytes(20)
    elif kind == "encrypted":
        content[6] |= 1
        content[central + 8] |= 1
    elif kind == "method":
        content[8] = content[central + 10] = 99
    else:
        content = bytearray(npy_header((4, 0)))
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"cannot read .*x\.npz: ") as refusal:
        read_arrays(tmp_path / "x.npz")
    assert "\n" not in str(refusal.value)


# ---------------------------------------------------------------------- types of numbers

IMAGES, ROWS = Spec("images", (1, 4, 4)), Spec("rows", (2,), columns=number_columns("a", "b"))
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
