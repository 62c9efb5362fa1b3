"""The contract of all kinds of items: a command need not know which one it has."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vae_cli.data.columns import number_columns
from vae_cli.data.dataset import Spec
from vae_cli.data.split import InMemory
from vae_cli.rendering import kind_of
from vae_cli.rendering.arrangements import (
    Arrangement,
    Grid,
    Interpolation,
    Reconstructions,
    Traversal,
)
from vae_cli.rendering.captions import Captions
from vae_cli.rendering.grid import Layout

SPECS = (
    Spec("grey", (1, 8, 8), classes=("even", "odd")),
    Spec("colour", (3, 8, 6), cropped=True),
    Spec("wine", (4,), classes=("red", "white"), columns=number_columns("a", "b", "c", "d")),
)


def make_items(spec: Spec, *sizes: int) -> np.ndarray:
    """Items whose values a picture file can hold: multiples of 1/255."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (*sizes, *spec.shape)) / 255


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_an_item_that_is_written_is_read_back(spec: Spec, tmp_path: Path) -> None:
    kind = kind_of(spec)
    paths = [tmp_path / f"{name}{kind.suffix}" for name in "ab"]
    items = torch.from_numpy(make_items(spec, 2))
    for item, path in zip(items, paths, strict=True):
        kind.write_item(item, path)
    found = kind.read_files(paths)
    torch.testing.assert_close(found.items.double(), items, atol=1e-6, rtol=0)
    assert [name.split(" ")[0] for name in found.names] == [path.name for path in paths]
    array = tmp_path / "both.npy"
    np.save(array, items.numpy())
    torch.testing.assert_close(kind.read_files([array]).items.double(), items, atol=1e-6, rtol=0)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_kind_writes_whatever_a_command_has_with_the_same_words(
    spec: Spec, tmp_path: Path
) -> None:
    kind, layout = kind_of(spec), Layout(columns=3, scale=2, captions=Captions(title="a title"))
    writer, items, square = kind.writer(layout), make_items(spec, 6), make_items(spec, 2, 3)
    arrangements: list[Arrangement] = [
        Traversal(items=square, offsets=[-1, 0, 1], dims=[4, 7]),
        Traversal(items=square[:1], offsets=[-1, 0, 1]),
        Interpolation(items=square, originals=items[:3]),
        Grid(items=square, places={"z0": np.zeros((2, 3)), "z1": np.ones((2, 3))}),
    ]
    paths = [tmp_path / f"{number}{kind.suffix}" for number in range(6)]
    writer.require_writable(len(items), paths[0])
    writer.write(items, paths[0])
    writer.write_reconstructions(Reconstructions(originals=items, decoded=items), paths[1])
    for arrangement, path in zip(arrangements, paths[2:], strict=True):
        writer.write_arrangement(arrangement, path)
    assert all(path.stat().st_size for path in paths)
    part = InMemory.whole(torch.from_numpy(items), torch.arange(6) % 2)
    splits = {"train": part, "test": part.head(2)}
    shown = tmp_path / f"examples{kind.suffix}" if spec.is_image else None
    assert writer.write_examples(splits, shown)
    assert kind.summarize(splits).rows
    assert str(spec.shape[-1]) in kind.describe()
