"""Codecs: scaling, draws, determinants; and columns with large means and constants."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from support import Use

from vae_cli import load
from vae_cli.data.columns import Column, number_columns
from vae_cli.data.split import InMemory
from vae_cli.data.table_files import read_table
from vae_cli.data.table_writing import write_table
from vae_cli.model import ImageCodec
from vae_cli.noise import Noise


def names_of(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


def test_a_stochastic_image_codec_draws_each_pixel_with_its_grey_value() -> None:
    codec, noise = ImageCodec(is_stochastic=True), Noise(0)
    grey = (
        torch.tensor([0, 51, 204, 255], dtype=torch.uint8).view(1, 1, 2, 2).expand(20_000, 1, 2, 2)
    )
    drawn = codec.encode(grey, noise)
    assert drawn.unique().tolist() == [0, 1]
    torch.testing.assert_close(
        drawn.mean(0).flatten(), torch.tensor([0, 0.2, 0.8, 1]), atol=0.01, rtol=0
    )
    assert codec.draw(drawn, noise).equal(drawn), "a black and white image has only itself"
    assert ImageCodec().encode(grey, noise).equal(codec.encode(grey))


def test_an_image_that_is_drawn_once_for_ever_is_the_same_beside_any_others() -> None:
    grey = torch.rand(100, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([70, 3, 71, 40])
    whole = ImageCodec(is_stochastic=True).encode_split(InMemory.whole(grey))
    drawn = whole.items_at(slice(None))
    assert drawn.unique().tolist() == [0, 1]
    assert abs((drawn - grey).mean()) < 0.03
    assert whole.items_at([40]).equal(drawn[[40]])
    assert whole.take(rows).drawn().items_at(slice(None)).equal(drawn[rows])
    assert not whole.take(rows).drawn().items.is_floating_point(), "bytes take less memory"
    equal = ImageCodec(is_stochastic=True).encode_split(InMemory.whole(grey[:1].expand(2, 1, 3, 3)))
    assert not equal.items_at([0]).equal(equal.items_at([1])), "equal images are drawn apart"
    assert ImageCodec().encode_split(InMemory.whole(grey)).items_at([40]).equal(grey[[40]])


def test_a_table_with_times_and_a_constant_goes_through_the_commands(here: Path, use: Use) -> None:
    generator = np.random.default_rng(0)
    times = 1_700_000_000 + generator.integers(0, 100, 300)
    values = generator.normal(size=300)
    write_table(
        here / "t.csv",
        number_columns("time", "same", "x"),
        np.stack([times, times * 0 + 5, values], 1),
    )
    assert read_table(here / "t.csv", version=2).rows[:, 0].tolist() == times.tolist()
    use("train", "--data", "t.csv", "--epochs", 3, "--latent-dim", 2, "--name", "t")
    kinds = [column.kind for column in load("t").spec.columns]
    assert kinds == ["integer", "constant", "number"]
    use("reconstruct", "t.csv", "--run", "t", "-o", "r.csv")
    columns, rows, *_ = read_table(here / "r.csv", version=2)
    assert names_of(columns) == ("time", "same", "x")
    assert rows[:, 1].unique().tolist() == [5]
    assert len(rows[:, 0].unique()) > 5, "whole seconds apart, although float32 has steps of 128"
    assert abs(rows[:, 0].mean().item() - times.mean()) < 20
    assert load("t").sample(3, seed=0).dtype == np.float64
    use("sample", "-n", 20, "--run", "t", "-o", "s.csv")
    assert len(read_table(here / "s.csv", version=2).rows[:, 0].unique()) > 10


def test_numbers_are_written_with_the_digits_they_need(tmp_path: Path) -> None:
    rows = np.array([[1.7e9, 0.5, 3, 1e-9], [1.7e9 + 0.125, 0.25, 4, 2e-9]])
    write_table(tmp_path / "t.csv", number_columns("time", "share", "count", "small"), rows)
    assert (tmp_path / "t.csv").read_text().splitlines()[1:] == [
        "1700000000,0.5,3,1e-09",
        "1700000000.125,0.25,4,2e-09",
    ]
    one = np.array([[1_700_000_000.125, 0.1, 3, 1 / 3]])
    write_table(tmp_path / "one.csv", number_columns("time", "share", "count", "third"), one)
    assert (tmp_path / "one.csv").read_text().splitlines()[1].startswith("1700000000.125,0.1,3,0.3")
    assert read_table(tmp_path / "one.csv", version=2).rows.tolist() == one.tolist()
