"""Factors of own data: the layouts of public data sets, and arrays that are called so."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from vae_cli.data import memory
from vae_cli.data.arrays import Arrays
from vae_cli.data.dataset import Factors, PictureRules
from vae_cli.errors import UsageError

N = 24
SCALES = np.linspace(0.5, 1, 6, dtype=np.float32)


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (N, *shape), dtype=np.uint8)


def factors_of(path: Path) -> Factors:
    """Those of both parts, in the order of the file."""
    dataset = Arrays(path, test_fraction=0.3)
    halves = [dataset.factors(part) for part in (dataset.train(), dataset.test())]
    rows = torch.cat([dataset.train().rows, dataset.test().rows])
    assert rows.sort().values.equal(torch.arange(N))
    assert halves[0]
    assert halves[1]
    assert halves[0].levels == halves[1].levels, "an index means the same in both"
    together = torch.cat([one.values for one in halves if one])
    return Factors(halves[0].names, together[rows.argsort()], halves[0].levels)


@pytest.mark.filterwarnings("ignore:.*all values are 0 and 1")
@pytest.mark.parametrize("array", ["latents_values", "latents_classes"])
def test_the_layout_of_dsprites(tmp_path: Path, array: str) -> None:
    """Its metadata are a pickled object, which is never read."""
    classes = np.stack(np.unravel_index(np.arange(N), (1, 3, 2, 4, 1, 1)), 1)
    values = classes / 10
    arrays = {"latents_values": values, "latents_classes": classes}
    kept = arrays if array == "latents_values" else {array: classes}
    metadata = np.array({"author": "somebody"}, dtype=object)
    imgs = pictures(8, 8) % 2
    np.savez(tmp_path / "x.npz", imgs=imgs, **kept, metadata=metadata, allow_pickle=True)  # type: ignore[arg-type]
    found = factors_of(tmp_path / "x.npz")
    assert found.names == ("color", "shape", "scale", "orientation", "posX", "posY")
    assert found.values.tolist() == classes.tolist()
    assert found.levels[1] == (("0.0", "0.1", "0.2") if len(kept) > 1 else ("0", "1", "2"))
    assert found.describe() == "color 1, shape 3, scale 2, orientation 4, posX 1, posY 1"


def test_the_layout_of_3d_shapes_has_no_classes_and_no_warning(tmp_path: Path) -> None:
    places = np.stack([np.arange(N) % count for count in (10, 10, 10, 6, 4, 12)], 1)
    labels = places / 4
    labels[:, 3] = SCALES[places[:, 3]]
    np.savez(tmp_path / "x.npz", images=pictures(64, 64, 3), labels=labels)
    found = factors_of(tmp_path / "x.npz")
    assert found.names[:4] == ("floor_hue", "wall_hue", "object_hue", "scale")
    assert found.values.tolist() == places.tolist()
    assert Arrays(tmp_path / "x.npz", test_fraction=0.3).spec.classes == ()


def test_factors_with_names_beside_classes_in_both_formats(tmp_path: Path) -> None:
    levels = np.stack([np.arange(N) % 2, 7 * (np.arange(N) % 5)], 1)
    arrays = {"images": pictures(8, 8), "labels": np.arange(N) % 3, "factors": levels}
    np.savez(tmp_path / "x.npz", **arrays, factor_names=np.array(["odd", "size"]))
    save_file(arrays, tmp_path / "x.safetensors", {"factor_names": "odd, size"})
    for name in ("x.npz", "x.safetensors"):
        found = factors_of(tmp_path / name)
        assert found.names == ("odd", "size")
        assert found.values.tolist() == (levels // [1, 7]).tolist()
        assert found.levels == (("0", "1"), ("0", "7", "14", "21", "28"))
        assert Arrays(tmp_path / name, test_fraction=0.3).spec.classes == ("0", "1", "2")


def test_a_file_with_two_parts_has_the_factors_of_each(tmp_path: Path) -> None:
    names, texts = ("x_train", "x_test"), np.array(["a", "b", "c"])
    items = dict(zip(names, np.split(pictures(8, 8), [16]), strict=True))
    factors = {"factors_train": texts[np.arange(16) % 2], "factors_test": texts[np.arange(8) % 3]}
    np.savez(tmp_path / "x.npz", **items, **factors)
    dataset = Arrays(tmp_path / "x.npz", test_fraction=0.3)
    test = dataset.factors(dataset.test().take(torch.tensor([5, 2])))
    assert test == Factors(("factor 1",), test.values, (("a", "b", "c"),))
    assert test.values.tolist() == [[2], [2]]
    np.savez(tmp_path / "x.npz", **items, factors_train=factors["factors_train"])
    with pytest.warns(UserWarning, match=r"x\.npz: only some of its parts have factors"):
        assert Arrays(tmp_path / "x.npz", test_fraction=0.3).known_factors is None


def test_a_factor_that_is_measured_is_put_into_bins_of_equal_width(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(-1, 3, (N, 1))
    values[:2, 0] = -1, 3
    np.savez(tmp_path / "x.npz", images=pictures(8, 8), factors=values)
    with pytest.warns(UserWarning, match=r"factor 1 has 24 values, which are put into 20 bins"):
        found = factors_of(tmp_path / "x.npz")
    expected = np.minimum((values + 1) / 4 * 20, 19).astype(int)
    assert found.values.tolist() == expected.tolist()
    assert found.levels[0][:2] == ("-1..-0.8", "-0.8..-0.6")
    np.savez(tmp_path / "x.npz", images=pictures(8, 8), labels=np.repeat(values, 2, 1))
    with pytest.warns(UserWarning, match="its labels are 24x2 of float64"):  # of a regression
        assert Arrays(tmp_path / "x.npz", test_fraction=0.3).known_factors is None


def test_bad_factors_are_one_line(tmp_path: Path, subtests: pytest.Subtests) -> None:
    good = np.stack([np.arange(N) % 2, np.arange(N) % 3], 1).astype(float)
    hole = np.where(np.arange(2 * N).reshape(N, 2) == 7, np.nan, good)
    for arrays, message in (
        ({"factors": good[:-1]}, "holds 2 factors of 24 items, but an array of 23 x 2"),
        ({"factors": good[:, None]}, "its array of factors is 24x1x2 of float64, and not a number"),
        ({"factors": hole}, "factor factor 2 is nan in row 3: every item needs a value"),
        ({"factors": good, "factor_names": np.array(["a"])}, "its 1 name of factors, a, must be"),
        ({"factors": good, "factor_names": np.array(["a", "a"])}, "for each of 2 factors"),
    ):
        with subtests.test(message):
            np.savez(tmp_path / "x.npz", images=pictures(8, 8), **arrays)
            with pytest.raises(UsageError, match=message):
                Arrays(tmp_path / "x.npz", test_fraction=0.3)


@pytest.mark.filterwarnings("ignore:.*all values are 0 and 1")
def test_masks_that_are_too_many_for_floats_are_kept_as_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "x.npz", imgs=pictures(8, 8) % 2)
    small, rules = Arrays(tmp_path / "x.npz", test_fraction=0.3), PictureRules()
    expected = small.train().network_input(small.train().rows)
    monkeypatch.setattr(memory, "MAX_MEMORY", 2 * N * 64)
    large = Arrays(tmp_path / "x.npz", rules=rules, test_fraction=0.3).train()
    assert large.items.dtype == torch.uint8
    assert large.network_input(large.rows).equal(expected)
