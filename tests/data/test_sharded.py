from dataclasses import replace
from pathlib import Path

import pytest
import torch
from shards import NumberedShards, images_of, numbers_of

from vae_cli.data import sharded
from vae_cli.data.dataset import Spec, ignore_progress
from vae_cli.data.held_out import divide_for_validation
from vae_cli.data.shard_source import OpenedShards
from vae_cli.data.sharded import ShardedPictures
from vae_cli.data.split import InMemory
from vae_cli.data.statistics import digest_splits, usual_border
from vae_cli.data.streamed import Streamed

SPEC = Spec("numbers", (1, 2, 2), classes=("a", "b", "c"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAE_DATA", str(tmp_path))


def open_numbers(shards: NumberedShards, test_fraction: float = 0.2) -> ShardedPictures:
    opened = OpenedShards(shards, SPEC, (), (), "")
    return ShardedPictures(opened, test_fraction, 100, ignore_progress)


def items_in(part: InMemory) -> torch.Tensor:
    return numbers_of(part.items_at(slice(None)))


def test_hashes_of_keys_decide_what_is_held_out_and_it_is_in_memory() -> None:
    shards = NumberedShards([50] * 8)
    dataset = open_numbers(shards)
    train, test, validation = dataset.parts
    assert isinstance(train, Streamed)
    assert validation is None
    held_out = (shards.hashes < 0.2).nonzero()[:, 0]
    assert train.rows.equal((shards.hashes >= 0.2).nonzero()[:, 0])
    assert items_in(test).sort().values.equal(held_out)
    assert items_in(test).ne(held_out).any(), "the order is random"
    assert test.labels.equal(items_in(test) % 3)
    assert dataset.names(test.head(3)) == shards.keys(items_in(test)[:3])
    assert {shard for shard, _ in shards.reads} == set(range(8))


def test_what_is_held_out_is_decoded_once_for_all_runs() -> None:
    first, second, other = (NumberedShards([50] * 8) for _ in range(3))
    one, two = open_numbers(first).test(), open_numbers(second).test()
    assert items_in(one).equal(items_in(two))
    assert first.reads
    assert not second.reads
    other.digest = "the pictures are cut differently"
    open_numbers(other).test()
    assert other.reads


def test_names_of_shards_are_parts() -> None:
    shards = NumberedShards([30, 20, 10, 5])
    shards.parts = ["train", None, "validation", "test"]
    train, test, validation = open_numbers(shards).parts
    assert train.rows.equal(torch.arange(50))
    assert validation is not None
    assert items_in(validation).sort().values.equal(torch.arange(50, 60))
    assert items_in(test).sort().values.equal(torch.arange(60, 65))
    shards.parts = ["train", None, "validation", None]
    train, test, validation = open_numbers(shards).parts
    assert (len(train), len(test), validation) == (55, 10, None)
    shards.parts = ["test"] * 4
    assert len(open_numbers(shards).test()) < 30, "one part alone is divided"


def test_of_a_part_that_is_too_large_a_random_sample_is_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sharded, "MAX_DECODED", 60)
    dataset = open_numbers(NumberedShards([100] * 8), 0.5)
    with pytest.warns(UserWarning, match=r"of \d{3} items that .* sample of 60 is used"):
        test = dataset.test()
    assert len(test) == len(items_in(test).unique()) == 60
    assert (dataset.shards.hashes[items_in(test)] < 0.5).all()
    with pytest.warns(UserWarning, match="sample of 60"):
        train = dataset.train()
    assert len(train) == 60
    assert (dataset.shards.hashes[items_in(train)] >= 0.5).all()
    assert len(items_in(train).div(100, rounding_mode="floor").unique()) > 1


def test_floats_keep_their_bits_in_the_cache() -> None:
    class Floats(NumberedShards):
        def __init__(self) -> None:
            super().__init__([50] * 4)
            self.dtype = torch.float32

        def read(self, shard: int, places: torch.Tensor) -> torch.Tensor:
            return super().read(shard, places).float() / 300

    test = open_numbers(Floats()).test()
    assert test.items.dtype == torch.float32
    numbers = (test.items.flatten(1)[:, 0] * 300).round()
    assert test.items.flatten(1)[:, 0].equal(numbers / 300)


def test_validation_and_measurements_take_a_streamed_part() -> None:
    shards = NumberedShards([100] * 4)
    train = open_numbers(shards).parts.train
    rest, kept = divide_for_validation(train, 0.25, copies_together=True)
    assert torch.cat([rest.rows, kept.rows]).sort().values.equal(train.rows)
    assert len(kept) == round(len(train) / 4)
    in_memory = InMemory.whole(images_of(train.rows, (1, 2, 2)))
    assert usual_border(train) == usual_border(in_memory)


def test_the_digest_is_of_the_items_of_the_part() -> None:
    shards = NumberedShards([100] * 4)
    dataset = open_numbers(shards)
    train, test, _ = dataset.parts
    digests = {digest_splits(part, test) for part in (train, train.head(100), train.head(100))}
    assert len(digests) == 2
    other = NumberedShards([100] * 4)
    other.digest = "other keys"
    assert digest_splits(replace(train, shards=other), test) not in digests
