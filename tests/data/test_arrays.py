"""Arrays in files: read as images or rows, or refused with the place that is wrong."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from vae_cli.data import memory
from vae_cli.data.arrays import Arrays, fit_to_spec, read_arrays
from vae_cli.data.columns import number_columns
from vae_cli.data.dataset import PictureRules, Spec
from vae_cli.data.value_range import Limits, format_limits
from vae_cli.errors import ChangedDataError, UsageError


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


# ---------------------------------------------------------------------- layout and names


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((30, 20, 24), (1, 20, 24)),
        ((30, 20, 24, 3), (3, 20, 24)),
        ((30, 3, 20, 24), (3, 20, 24)),
        ((30, 20, 24, 1), (1, 20, 24)),
        ((30, 5), (5,)),
    ],
)
def test_the_shape_of_the_array_decides_its_layout(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    array = noise(*shape)
    dataset = Arrays(saved(tmp_path / "x.npy", array), test_fraction=0.3)
    assert dataset.spec.shape == expected
    rows = torch.cat([dataset.train().rows, dataset.test().rows]).sort().values
    assert rows.equal(torch.arange(30))
    if shape == (30, 20, 24, 3):
        assert dataset.train().items[4, 2, 7, 9] == array[4, 7, 9, 2]


def test_the_columns_of_rows_are_numbered_from_one(tmp_path: Path) -> None:
    dataset = Arrays(saved(tmp_path / "x.npy", np.zeros((4, 2))), test_fraction=0.0)
    assert dataset.spec == Spec(
        "x", (2,), columns=number_columns("column 1", "column 2"), cropped=True
    )


def test_the_three_formats_give_the_same_items_labels_and_parts(tmp_path: Path) -> None:
    array, labels = noise(20, 16, 16), np.arange(20) % 4
    np.savez(tmp_path / "x.npz", images=array, labels=labels)
    save_file({"images": array, "labels": labels}, tmp_path / "x.safetensors")
    one = Arrays(saved(tmp_path / "x.npy", array), test_fraction=0.3)
    for name in ("x.npz", "x.safetensors"):
        other = Arrays(tmp_path / name, test_fraction=0.3)
        assert other.train().items.equal(one.train().items)
        assert other.train().rows.equal(one.train().rows)
        assert other.spec.classes == ("0", "1", "2", "3")
        assert other.test().labels.equal(torch.from_numpy(labels)[other.test().rows])


def test_numbers_in_the_other_byte_order_are_read_correctly(tmp_path: Path) -> None:
    array = np.array([[1.5, -2.0], [3.0, 4.0]], np.dtype("float64").newbyteorder())
    items = read_arrays(saved(tmp_path / "x.npy", array))
    assert items.tolist() == array.tolist()


@pytest.mark.parametrize("name", ["images", "x", "data"])
def test_the_items_are_found_by_their_name_among_several_arrays(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "x.npz", other=np.zeros(3), **{name: noise(4, 5)})
    assert read_arrays(tmp_path / "x.npz").shape == (4, 5)


def test_several_arrays_without_a_known_name_are_refused_with_their_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", one=noise(4, 5), two=noise(4, 5))
    with pytest.raises(UsageError, match=r"x\.npz holds one, two: name one array images, or two"):
        read_arrays(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),  # Keras
        ("X_train", "y_train", "X_test", "y_test"),  # scikit-learn
        ("train_images", "train_labels", "test_images", "test_labels"),  # MedMNIST
    ],
)
def test_a_file_with_two_parts_keeps_them(tmp_path: Path, names: tuple[str, ...]) -> None:
    train, test = np.split(noise(40, 8, 8), [30])
    arrays = (train, np.arange(30) % 3, test, np.arange(10)[:, None] % 4)
    for save, name in ((np.savez, "x.npz"), (None, "x.safetensors")):
        named = dict(zip(names, arrays, strict=True))
        save(tmp_path / name, **named) if save else save_file(named, tmp_path / name)
        dataset = Arrays(tmp_path / name, test_fraction=0.5)
        assert dataset.spec.classes == ("0", "1", "2", "3"), "those of both parts"
        for part, at in ((dataset.train(), 0), (dataset.test(), 2)):
            assert part.items[part.rows].numpy()[:, 0].tolist() == arrays[at].tolist()
            assert part.labels.tolist() == arrays[at + 1].ravel().tolist()
        assert len(read_arrays(tmp_path / name)) == 40
    np.savez(tmp_path / "x.npz", **{names[0]: train, names[2]: noise(5, 9, 9)})
    with pytest.raises(UsageError, match="parts with items of 1x8x8 and of 1x9x9"):
        Arrays(tmp_path / "x.npz", test_fraction=0.5)


@pytest.mark.parametrize("word", ["x_val", "val_images", "validation_x"])
def test_a_validation_set_chooses_or_else_is_the_test_set(tmp_path: Path, word: str) -> None:
    train, test, validation = noise(30, 8, 8), noise(10, 8, 8) // 2, noise(20, 8, 8) // 3
    np.savez(tmp_path / "x.npz", **{word: validation}, x_train=train, test_images=test)
    for value_range in (None, (0, 255)):
        rules = PictureRules(value_range=value_range)
        dataset = Arrays(tmp_path / "x.npz", rules=rules, test_fraction=0.5)
        parts = (dataset.train(), dataset.test(), dataset.validation())
        for part, expected in zip(parts, (train, test, validation), strict=True):
            assert part is not None
            found = part.network_input(part.rows)[:, 0].numpy()
            assert np.allclose(found, expected / 255, atol=1e-6)
    np.savez(tmp_path / "y.npz", x_train=train, **{word: validation})
    dataset = Arrays(tmp_path / "y.npz", test_fraction=0.5)
    assert (len(dataset.test()), dataset.validation()) == (20, None)


NUMBERS = [0, 2, 1, 2]
LABELS = {
    "integers": np.array(NUMBERS, np.uint8),
    "big-endian": np.array(NUMBERS, ">i4"),
    "a column": np.array(NUMBERS)[:, None],
    "whole floats": np.array(NUMBERS, np.float32),
    "one-hot": np.eye(3)[NUMBERS],
    "one-hot bool": np.eye(3)[NUMBERS].astype(bool),
}
TEXTS = {
    "texts": np.array(["cat", "owl", "dog", "owl"]),
    "bytes": np.array([b"cat", b"owl", b"dog", b"owl"]),
    "a column of texts": np.array([["cat"], ["owl"], ["dog"], ["owl"]]),
}


@pytest.mark.parametrize("name", [*LABELS, *TEXTS])
def test_labels_in_every_common_form_are_read(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "x.npz", x=noise(4, 5), y=(LABELS | TEXTS)[name])
    dataset = Arrays(tmp_path / "x.npz", test_fraction=0.0)
    assert dataset.train().labels.tolist() == NUMBERS
    assert dataset.spec.classes == (("0", "1", "2") if name in LABELS else ("cat", "dog", "owl"))


@pytest.mark.parametrize(
    "labels",
    [np.full(4, 0.5), np.full(4, 1e6), np.full(4, np.nan), noise(4, 3), np.ones(4, "M8[s]")],
)
def test_labels_that_are_no_classes_are_left_out_with_a_warning(
    tmp_path: Path, labels: np.ndarray
) -> None:
    np.savez(tmp_path / "x.npz", x=noise(4, 5), y=labels)
    with pytest.warns(UserWarning, match=r"x\.npz: its labels are .* so there are no classes"):
        dataset = Arrays(tmp_path / "x.npz", test_fraction=0.0)
    assert dataset.spec.classes == ()
    assert dataset.train().labels.shape == (0,)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.zeros(3, np.int64), "3 labels for 4 items"),
        (np.zeros((5, 1)), "5 labels for 4 items"),
        (np.int64(3), "one label for 4 items"),
        (np.array(["cat", "dog", "cat", "dog"], object), r"never read: .* \.astype\(str\)"),
    ],
)
def test_labels_that_cannot_be_those_of_the_items_are_refused(
    tmp_path: Path, labels: np.ndarray, reason: str
) -> None:
    np.savez(tmp_path / "x.npz", x=noise(4, 5), y=labels)
    with pytest.raises(UsageError, match=reason):
        Arrays(tmp_path / "x.npz", test_fraction=0.0)


@pytest.mark.parametrize("label", [-1, 4])
def test_labels_that_do_not_count_from_0_are_refused(tmp_path: Path, label: int) -> None:
    np.savez(tmp_path / "x.npz", x=noise(4, 5), y=np.array([0, 1, 2, label]))
    with pytest.raises(UsageError, match=r"x\.npz: labels must count from 0"):
        Arrays(tmp_path / "x.npz", test_fraction=0.5)


# ---------------------------------------------------------------------- ranges of values


def blobs(count: int = 40) -> np.ndarray:
    """Grey dots from 0 to 1, float64, with a black and a white pixel in each image."""
    images = np.random.default_rng(0).random((count, 8, 8))
    images[:, 0, :2] = (0, 1)
    return images


def network_input(dataset: Arrays) -> np.ndarray:
    """All items of both parts in their order, as a network takes them."""
    train, test = dataset.train(), dataset.test()
    items = torch.cat([part.network_input(part.rows) for part in (train, test)])
    return items[torch.cat([train.rows, test.rows]).argsort()].numpy()[:, 0]


RANGES: dict[str, tuple[np.ndarray, Limits]] = {
    "times 255": (blobs() * 255, (0, 255)),
    "signed": ((blobs() * 2 - 1).astype("f2"), (-1, 1)),
    "sixteen bits": ((blobs() * 65535).astype("u2"), (0, 65535)),
    "twelve bits": ((blobs() * 4095).astype("i4"), (0, 4095)),
    "big-endian": ((blobs() * 4095).astype(">u4"), (0, 4095)),
    "whole numbers": (np.round(blobs() * 16), (0, 16)),
}


@pytest.mark.parametrize("name", RANGES)
def test_the_error_about_a_range_names_the_one_that_works(tmp_path: Path, name: str) -> None:
    array, limits = RANGES[name]
    path = saved(tmp_path / "x.npy", array)
    with pytest.raises(UsageError, match=r"x\.npy.*in \[0, 1\]") as refusal:
        Arrays(path, test_fraction=0.2).train()
    assert str(refusal.value).endswith(f": try data.range={format_limits(limits)}")
    dataset = Arrays(path, rules=PictureRules(value_range=limits), test_fraction=0.2)
    low, high = limits
    expected = (array.astype(float) - low) / (high - low)
    assert np.abs(network_input(dataset) - expected).max() < 1e-6
    assert dataset.spec.range == limits
    measured = Arrays(path, rules=PictureRules(value_range="data"), test_fraction=0.2)
    assert np.abs(network_input(measured) - network_input(dataset)).max() < 0.01
    assert measured.spec.range == (array.min(), array.max())
    like = Arrays(path, like=measured.spec, test_fraction=0.0)
    assert np.array_equal(network_input(like), network_input(measured))


@pytest.mark.parametrize("kind", ["?", "u1", "i8"])
def test_masks_are_black_and_white(
    tmp_path: Path, kind: str, recwarn: pytest.WarningsRecorder
) -> None:
    masks = (blobs() > 0.5).astype(kind)
    dataset = Arrays(saved(tmp_path / "x.npy", masks), test_fraction=0.2)
    assert np.array_equal(network_input(dataset), masks.astype(float))
    assert dataset.spec.range == (0, 1)
    said = [str(warning.message) for warning in recwarn]
    assert (said == []) == (kind == "?")
    if kind == "?":  # a bit is black or white in every range, as in a picture
        like = dataclasses.replace(dataset.spec, range=(-1, 0.9))
        other = Arrays(tmp_path / "x.npy", like=like, test_fraction=0.2)
        assert np.array_equal(network_input(other), masks.astype(float))
    assert all("all values are 0 and 1, so 1 is taken as white" in text for text in said)


def test_masks_of_earlier_runs_and_for_other_models_stay_as_they_were(tmp_path: Path) -> None:
    masks = (blobs() > 0.5).astype(np.uint8)
    path = saved(tmp_path / "x.npy", masks)
    for dataset in (
        Arrays(path, version=1, test_fraction=0.2),
        Arrays(path, like=Spec("x", (1, 8, 8)), test_fraction=0.2),
    ):
        assert network_input(dataset).max() == np.float32(1 / 255)


def test_values_beyond_a_range_are_cut_off_and_counted(tmp_path: Path) -> None:
    array = np.zeros((30, 4, 4), np.float32)
    array[:, 0, 0] = np.linspace(0, 0.9, 30)
    array[3, 1, 1], array[4, 2, 2] = -2, 7
    dataset = Arrays(
        saved(tmp_path / "x.npy", array),
        rules=PictureRules(value_range=(0, 0.5)),
        test_fraction=0.3,
    )
    with pytest.warns(UserWarning, match=r"15 of 30 items have values beyond 0:0\.5"):
        assert np.allclose(network_input(dataset), (array / 0.5).clip(0, 1))
    array[5, 0, 0] = np.inf
    for limits in ((0, 1), "data"):
        rules = PictureRules(value_range=limits)
        with pytest.raises(UsageError, match=r"inf at row .* is not finite"):
            Arrays(saved(tmp_path / "y.npy", array), rules=rules, test_fraction=0.0).train()


def test_a_range_is_measured_on_the_training_set(tmp_path: Path) -> None:
    train, test = blobs(20) * 100, blobs(20) * 300
    np.savez(tmp_path / "x.npz", x_train=train, x_test=test)
    rules = PictureRules(value_range="data")
    dataset = Arrays(tmp_path / "x.npz", rules=rules, test_fraction=0.2)
    with pytest.warns(UserWarning, match="20 of 20 items have values beyond 0:100"):
        assert dataset.train().items.max() == 1
    assert dataset.spec.range == (0, 100)


def test_a_range_is_for_images_and_needs_two_values(tmp_path: Path) -> None:
    rules = PictureRules(value_range="data")
    with pytest.raises(UsageError, match=r"data.range is for images, and .*x\.npy holds vectors"):
        Arrays(saved(tmp_path / "x.npy", noise(9, 3)), rules=rules, test_fraction=0.2)
    path = saved(tmp_path / "y.npy", np.full((9, 3, 3), 3))
    with pytest.raises(UsageError, match=r"all values are 3, so .*: write data.range=LOW:HIGH"):
        Arrays(path, rules=rules, test_fraction=0.0).train()


def test_bytes_far_below_white_are_mentioned(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npy", noise(30, 8, 8) // 16)
    with pytest.warns(
        UserWarning, match=r"x\.npy: the brightest value is 15 of 255: data.range=0:15"
    ):
        Arrays(path, test_fraction=0.2).train()


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((9, 4, 4), 1.5, np.float32), r"1\.5 at row 0, pixel .* not in \[0, 1\]"),
        (np.full((9, 4, 4), np.nan), "nan at row 0"),
        (np.array([[1.0, 2.0], [3.0, np.inf]]), r"inf at row 1, column \[1\] is not finite"),
        (np.zeros((9, 4, 4), np.int64), "images are uint8, or floats"),
        (np.zeros((9, 5, 5, 7), np.uint8), "1 to 4 channels"),
        (np.zeros(9, np.uint8), "vectors N x D"),
        (np.zeros((9, 2), np.complex64), "holds complex64: vectors are of real numbers"),
        (np.zeros((9, 2), bool), "holds bool: vectors are of real numbers"),
        (np.array([{"a": 1}, {}], dtype=object), "cannot read"),
        (np.array([["a", "b"]]), "cannot read"),
    ],
)
def test_an_array_of_other_things_is_refused_with_the_place_that_is_wrong(
    tmp_path: Path, array: np.ndarray, reason: str
) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(UsageError, match=reason):
        Arrays(tmp_path / "x.npy", test_fraction=0.3).train()


def test_the_row_of_a_wrong_value_counts_from_the_start_of_the_file(tmp_path: Path) -> None:
    rows = np.zeros((5000, 2))
    rows[4500, 1] = np.nan
    with pytest.raises(UsageError, match=r"nan at row 4500, column \[1\]"):
        Arrays(saved(tmp_path / "x.npy", rows), test_fraction=0.3).train()


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00garbage", b"PK\x03\x04garbage"])
def test_a_file_with_other_content_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=rf"cannot read .*{name}: .") as refusal:
        read_arrays(tmp_path / name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors"])
def test_a_file_in_another_format_than_its_extension_is_refused(tmp_path: Path, kind: str) -> None:
    np.savez(tmp_path / "a.npz", images=noise(4, 5))
    for other, content in (
        ("npy", saved(tmp_path / "a.npy", noise(4, 5)).read_bytes()),
        ("npz", (tmp_path / "a.npz").read_bytes()),
    ):
        path = tmp_path / f"x.{kind}"
        path.write_bytes(content)
        if other == kind:
            assert read_arrays(path).shape == (4, 5)
        else:
            with pytest.raises(UsageError, match=rf"cannot read .*x\.{kind}: ."):
                read_arrays(path)


WRITERS: dict[str, Callable[[Path, np.ndarray], object]] = {
    "x.npy": np.save,
    "x.npz": lambda path, array: np.savez(path, images=array),
    "compressed.npz": lambda path, array: np.savez_compressed(path, images=array),
    "x.safetensors": lambda path, array: save_file({"images": array}, path),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("left", [0.2, 0.6, 0.99])
def test_a_file_that_is_cut_short_is_refused_in_one_line(
    tmp_path: Path, name: str, left: float
) -> None:
    path = tmp_path / name
    WRITERS[name](path, noise(40, 8, 8))
    content = path.read_bytes()
    path.write_bytes(content[: int(left * len(content))])
    with pytest.raises(UsageError, match=rf"cannot read .*{name}: .") as refusal:
        read_arrays(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["x.npz", "compressed.npz"])
def test_a_changed_byte_in_an_npz_file_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path, noise(40, 8, 8))
    content = path.read_bytes()
    for place in range(200, 1200, 50):
        changed = bytearray(content)
        changed[place] ^= 255
        path.write_bytes(changed)
        with pytest.raises(UsageError, match=rf"cannot read .*{name}: .") as refusal:
            read_arrays(path)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.safetensors"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name} does not exist"):
        Arrays(tmp_path / name, test_fraction=0.3)


# ---------------------------------------------------------------------- parts and memory


def test_adding_items_moves_none_from_one_part_to_the_other(tmp_path: Path) -> None:
    array = noise(300, 8, 8)
    few, all_of_them = (
        set(Arrays(saved(tmp_path / "x.npy", some), test_fraction=0.2).test().rows.tolist())
        for some in (array[:200], array)
    )
    assert few == {row for row in all_of_them if row < 200}


def written(path: Path, array: np.ndarray) -> Path:
    """An array in a `.npy` or `.safetensors` file."""
    save_file({"x": array}, path) if path.suffix == ".safetensors" else np.save(path, array)
    return path


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def change_last_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\7")


@pytest.mark.parametrize("change", [truncate, change_last_byte])
@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_an_array_in_memory_does_not_change_with_its_file(
    tmp_path: Path, suffix: str, change: Callable[[Path], None]
) -> None:
    path = written(tmp_path / f"x{suffix}", np.zeros((40, 8, 8), np.uint8))
    train = Arrays(path, test_fraction=0.0).train()
    change(path)
    assert not train.gather(train.rows).any()


@pytest.mark.parametrize("change", [truncate, change_last_byte])
@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_a_large_array_is_memory_mapped_and_refused_if_its_file_is_changed(
    tmp_path: Path, suffix: str, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "IN_MEMORY", 0)
    path = written(tmp_path / f"x{suffix}", np.zeros((40, 8, 8), np.uint8))
    train = Arrays(path, test_fraction=0.0).train()
    assert not train.gather(train.rows).any()
    other = written(tmp_path / f"y{suffix}", np.ones((40, 8, 8), np.uint8))
    unmoved = path.stat().st_mtime_ns
    path.rename(tmp_path / f"z{suffix}")
    other.rename(path)
    assert not train.gather(train.rows).any(), "another file with its name is not it"
    opened = tmp_path / f"z{suffix}"
    change(opened)
    while opened.stat().st_mtime_ns == unmoved:  # the clock of the system has ticks
        change(opened) if change is change_last_byte else os.utime(opened)
    if change is change_last_byte:
        assert train.items[-1, 0, 7, 7] == 7, "it is not copied"
    with pytest.raises(ChangedDataError, match="was changed while it was in use"):
        train.gather(train.rows)


TRAIN_WITH_LITTLE_MEMORY = """
import resource, sys
import torch
LEFT = 400  # MiB, less than the items that are trained on
from vae_cli.settings import merge
from vae_cli.data.dataset import ignore_progress
from vae_cli.runs.resolve import resolve
from vae_cli.runs.train import fit_resolved
lines = [line.split() for line in open("/proc/self/status")]
used = 1024 * next(int(line[1]) for line in lines if line[0] == "VmData:")
limit = used + (LEFT << 20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
tables = {"data": {"name": sys.argv[1], "test_fraction": 0.01, "limit": 26_000}}
tables |= {"model": {"network": "mlp", "hidden": [8], "latent_dim": 2}}
tables |= {"training": {"epochs": 1, "precision": "float32"}}
resolved = resolve(merge(("", tables)), torch.device("cpu"))
assert resolved.train.items.nbytes > 2 * (LEFT << 20)
fit_resolved(resolved.initial_state(), resolved, print, ignore_progress)
try:
    torch.empty(2 * LEFT << 20, dtype=torch.uint8)
except RuntimeError:
    print("the limit holds")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_training_reads_an_array_that_is_larger_than_memory_from_the_disk(tmp_path: Path) -> None:
    """0.85 GB of images, half of which are trained on, where 0.4 GB are left for other memory."""
    path = tmp_path / "large.npy"
    large = np.lib.format.open_memmap(path, "w+", np.uint8, (52_000, 128, 128))
    large[::7] = np.arange(len(large[::7]), dtype=np.uint32).astype(np.uint8)[:, None, None]
    large.flush()
    script = [sys.executable, "-c", TRAIN_WITH_LITTLE_MEMORY, str(path)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    path.unlink()
    assert done.returncode == 0, done.stderr
    assert "EpochReport" in done.stdout
    assert "the limit holds" in done.stdout


# ---------------------------------------------------------------------- arrays for a model


@pytest.mark.parametrize(
    ("spec_shape", "shape", "expected"),
    [
        ((1, 4, 6), (4, 6), (1, 1, 4, 6)),
        ((1, 4, 6), (7, 4, 6), (7, 1, 4, 6)),
        ((1, 4, 6), (1, 4, 6), (1, 1, 4, 6)),
        ((1, 4, 6), (7, 4, 6, 1), (7, 1, 4, 6)),
        ((1, 4, 6), (7, 1, 4, 6), (7, 1, 4, 6)),
        ((3, 4, 6), (3, 4, 6), (1, 3, 4, 6)),
        ((3, 4, 6), (4, 6, 3), (1, 3, 4, 6)),
        ((3, 4, 6), (7, 4, 6, 3), (7, 3, 4, 6)),
        ((3, 3, 3), (7, 3, 3, 3), (7, 3, 3, 3)),
        ((5,), (5,), (1, 5)),
        ((5,), (7, 5), (7, 5)),
    ],
)
def test_items_are_brought_to_the_shape_of_a_spec(
    spec_shape: tuple[int, ...], shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    items = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    fitted = fit_to_spec(items, Spec("pets", spec_shape))
    assert fitted.shape == expected
    if shape[-3:] == (4, 6, 3):
        assert fitted.equal(items.view(-1, 4, 6, 3).permute(0, 3, 1, 2))
    else:
        assert fitted.equal(items.view(expected))


@pytest.mark.parametrize(
    ("spec_shape", "shape"),
    [
        ((1, 4, 6), (6, 4)),
        ((3, 4, 6), (7, 1, 4, 6)),
        ((3, 4, 6), (4, 6)),
        ((5,), (4,)),
        ((5,), (7, 6)),
    ],
)
def test_items_of_another_shape_are_refused(
    spec_shape: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    with pytest.raises(UsageError, match=r"the array holds items of .* but pets is of"):
        fit_to_spec(torch.zeros(shape), Spec("pets", spec_shape))


@pytest.mark.parametrize("shape", [(0,), (0, 1, 4, 6), (0, 4, 6), (0, 9)])
def test_an_array_without_items_is_said_to_have_none(shape: tuple[int, ...]) -> None:
    for spec_shape in ((1, 4, 6), (9,)):
        with pytest.raises(UsageError, match="the array holds no items"):
            fit_to_spec(torch.zeros(shape), Spec("pets", spec_shape))


@pytest.mark.parametrize(
    ("spec_shape", "value", "reason"),
    [((1, 2, 2), 1.1, r"not in \[0, 1\]"), ((1, 2, 2), -0.1, "not in"), ((5,), np.inf, "finite")],
)
def test_items_with_a_wrong_value_are_refused(
    spec_shape: tuple[int, ...], value: float, reason: str
) -> None:
    with pytest.raises(UsageError, match=rf"the array: .* at row 0.* {reason}"):
        fit_to_spec(torch.full(spec_shape, value), Spec("pets", spec_shape))
