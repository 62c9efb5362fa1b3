"""One changed bit, digit or pixel of the data is noticed, and the same contents are not."""

import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_cli.data.dataset import ignore_progress
from vae_cli.data.statistics import digest_splits
from vae_cli.settings import DataConfig

Times = Callable[[int, int], int]


def digest(path: Path, **settings: object) -> str:
    """The digest that a checkpoint of these data has."""
    config = DataConfig(name=str(path), test_fraction=0.3, **settings)  # type: ignore[arg-type]
    dataset = config.open(ignore_progress)
    return digest_splits(dataset.train(), dataset.test())


def write_table(path: Path, cells: np.ndarray) -> None:
    rows = [["a", "b", "k"], *([f"{a:.4f}", f"{b:.4f}", "xyz"[int(k)]] for a, b, k in cells)]
    path.write_text("\n".join(map(",".join, rows)))


def change_cell(cells: np.ndarray, draw: random.Random) -> np.ndarray:
    changed, row, column = cells.copy(), draw.randrange(len(cells)), draw.randrange(3)
    changed[row, column] += 0.0001 if column < 2 else 1 - 3 * (cells[row, column] == 2)
    return changed


def test_every_changed_cell_of_a_table_is_noticed(tmp_path: Path, times: Times) -> None:
    draw, path = random.Random(0), tmp_path / "t.csv"
    cells = np.random.default_rng(0).normal(size=(60, 3)).round(4)
    cells[:, 2] = np.arange(60) % 3
    write_table(path, cells)
    expected = digest(path, label="k")
    for _ in range(times(20, 2_000)):
        write_table(path, change_cell(cells, draw))
        assert digest(path, label="k") != expected
        write_table(path, cells)
        assert digest(path, label="k") == expected


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_every_flipped_bit_of_an_array_is_noticed(tmp_path: Path, times: Times, dtype: str) -> None:
    draw, path = random.Random(1), tmp_path / "x.npy"
    values = (np.random.default_rng(0).random((40, 4, 4)) * 200).astype("u1")
    items = values if dtype == "u1" else (values / 255).astype(dtype).reshape(40, 16)
    np.save(path, items)
    expected, content = digest(path), path.read_bytes()
    seen = 0
    for _ in range(times(20, 700)):
        changed = bytearray(content)
        at = len(content) - 1 - draw.randrange(items.nbytes)
        changed[at] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        found = np.load(path)
        if not np.isfinite(found).all():
            continue  # it is refused for another reason
        seen += 1
        assert digest(path) != expected
    assert seen
    path.write_bytes(content)
    assert digest(path) == expected


def write_picture(path: Path, pixels: np.ndarray) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())


def test_every_changed_pixel_of_a_folder_is_noticed(
    tmp_path: Path, times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    draw, folder = random.Random(2), tmp_path / "pictures"
    folder.mkdir()
    pictures = np.random.default_rng(0).integers(0, 256, (12, 16, 16), dtype=np.uint8)
    for number, pixels in enumerate(pictures):
        write_picture(folder / f"{number}.png", pixels)
    expected = digest(folder)
    for _ in range(times(10, 300)):
        number, row, column = draw.randrange(12), draw.randrange(16), draw.randrange(16)
        changed = pictures[number].copy()
        changed[row, column] ^= 1 << draw.randrange(8)
        write_picture(folder / f"{number}.png", changed)
        assert digest(folder) != expected
        write_picture(folder / f"{number}.png", pictures[number])
    assert digest(folder) == expected
