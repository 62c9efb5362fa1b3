"""Batches: their order, their scale, and the size of the chunks that they come in."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_map

from vae_cli.data.batch import Batch
from vae_cli.data.batches import (
    MAX_CHUNK_VALUES,
    chunk_length,
    permutation,
    steps_per_epoch,
    to_unit_interval,
    wrap_array,
)
from vae_cli.data.split import InMemory


def test_bytes_are_scaled_to_the_unit_interval() -> None:
    images = InMemory.whole(torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1))
    batch = images.items_at([255, 0, 51])
    assert batch.dtype == torch.float32
    torch.testing.assert_close(batch.flatten(), torch.tensor([1.0, 0.0, 0.2]))


def test_rows_keep_their_type_and_values_and_the_items_are_not_changed() -> None:
    rows = torch.tensor([[300.0], [-1.5]], dtype=torch.float64)
    assert InMemory.whole(rows).items_at([1, 0, 1]).tolist() == [[-1.5], [300], [-1.5]]
    large = torch.tensor([[1_700_000_003]], dtype=torch.float64)
    assert InMemory.whole(large).items_at([0]).equal(large), "float32 has 24 bits"
    numbers = torch.tensor([[3, 200]], dtype=torch.uint8)
    assert InMemory.whole(numbers).items_at([0]).equal(numbers), "they are no pixels"
    items = torch.ones(2, 2)
    to_unit_interval(items).add_(0)
    assert items.eq(1).all()


def test_a_permutation_visits_each_index_once_and_depends_on_seed_and_epoch() -> None:
    orders = [permutation(1000, seed=seed, epoch=epoch) for seed in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert order.sort().values.equal(torch.arange(1000))
    assert len({tuple(order.tolist()) for order in orders}) == 4
    assert orders[0].equal(permutation(1000, seed=0, epoch=0))


def test_a_permutation_does_not_use_the_global_random_numbers() -> None:
    before = torch.get_rng_state()
    permutation(1000, seed=2**63 - 1, epoch=1_000_000)
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize(
    ("count", "batch_size", "expected"), [(10, 5, 2), (11, 5, 3), (1, 5, 1), (4, 5, 1)]
)
def test_the_last_step_of_an_epoch_may_have_fewer_items(
    count: int, batch_size: int, expected: int
) -> None:
    assert steps_per_epoch(count, batch_size) == expected


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 1024, 1024), (4, 4096, 4096), (13,)])
def test_a_chunk_has_few_enough_items_for_memory_and_at_least_one(shape: tuple[int, ...]) -> None:
    length = chunk_length(shape)
    assert 1 <= length <= 1024
    assert length == 1 or length * np.prod(shape) <= MAX_CHUNK_VALUES
    assert chunk_length(shape, limit=7) == min(7, length)


@pytest.mark.parametrize("batch_size", [1, 3, 400, 5000])
def test_chunks_have_whole_batches_and_visit_the_rows_in_order(batch_size: int) -> None:
    items = torch.arange(3000.0)[:, None]
    rows = torch.arange(2999, -1, -1)
    parts = list(InMemory.whole(items).chunks(rows, batch_size))
    assert all(len(part) % batch_size == 0 for part in parts[:-1])
    assert torch.cat(parts).flatten().equal(rows.float())


def test_no_rows_give_no_chunks() -> None:
    assert list(InMemory.whole(torch.zeros(5, 1)).chunks(torch.arange(0), 2)) == []


def test_a_read_only_array_is_wrapped_without_a_copy_or_a_warning() -> None:
    array = np.zeros(3)
    array.flags.writeable = False
    tensor = wrap_array(array)
    array.flags.writeable = True
    array[1] = 5
    assert tensor.tolist() == [0, 5, 0]


@pytest.mark.parametrize("size", [1, 7, 400, 5000])
def test_batches_visit_the_order_and_carry_the_condition_of_each_item(size: int) -> None:
    items = torch.arange(3000.0)[:, None]
    split = replace(InMemory.whole(items), condition=2 * items[:, 0]).take(torch.arange(2500))
    order = torch.randperm(2500)
    batches = list(split.batches(order, size, torch.device("cpu")))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert torch.cat([batch.x for batch in batches]).flatten().equal(order.float())
    assert all(batch.y.equal(2 * batch.x[:, 0]) for batch in batches)
    rest = list(split.batches(order[3 * size :], size, torch.device("cpu")))
    assert all(a.x.equal(b.x) for a, b in zip(rest, batches[3:], strict=True))


def test_transformations_of_torch_look_into_a_batch() -> None:
    batch = Batch(torch.ones(3, 2), torch.arange(3))
    doubled = tree_map(lambda tensor: 2 * tensor, batch)
    assert isinstance(doubled, Batch)
    assert doubled.y.tolist() == [0, 2, 4]
