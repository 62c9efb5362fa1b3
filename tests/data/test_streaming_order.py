from types import SimpleNamespace

import torch
from hypothesis import given
from hypothesis import strategies as st

from vae_cli.data.streaming_order import count_lanes, cut, streaming_order
from vae_cli.training.world import share_of


def starts_of(sizes: list[int]) -> torch.Tensor:
    return torch.tensor([0, *sizes]).cumsum(0)


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=40).filter(any),
    st.integers(1, 80),
    st.integers(1, 500),
    st.integers(0, 2**32),
)
def test_an_epoch_visits_each_item_once_whatever_the_sizes_of_the_shards(
    sizes: list[int], batch_size: int, window: int, seed: int
) -> None:
    starts = starts_of(sizes)
    size = min(batch_size, sum(sizes))
    order = streaming_order(starts, size, window=window, seed=seed, epoch=0)
    assert order.sort().values.equal(torch.arange(sum(sizes)))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    starts = starts_of([50] * 20)
    orders = [
        streaming_order(starts, 32, window=200, seed=seed, epoch=epoch)
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    assert not any(orders[0].equal(other) for other in orders[1:])
    torch.manual_seed(3)
    assert orders[0].equal(streaming_order(starts, 32, window=200, seed=0, epoch=0))


def test_each_of_1_2_4_and_8_processes_reads_shards_of_its_own() -> None:
    order = streaming_order(starts_of([100] * 32), 64, window=400, seed=0, epoch=3)
    for processes in (2, 4, 8, 16):
        batches = order.view(-1, processes, 64 // processes)
        shards = [set((own // 100).unique().tolist()) for own in batches.unbind(1)]
        assert sum(map(len, shards)) == 32  # none is read by two
        assert set(map(len, shards)) == {32 // processes}


def test_uneven_shards_are_shared_only_at_the_ends_of_lanes() -> None:
    sizes = [100, 37, 250, 80, 5, 121, 99, 160, 71, 44]
    count, batch_size = sum(sizes), 32
    order = streaming_order(starts_of(sizes), batch_size, window=1, seed=1, epoch=0)
    lanes = count_lanes(len(sizes), batch_size)
    assert lanes == 8
    owners = torch.searchsorted(starts_of(sizes), order, right=True) - 1
    early = owners[: count // 2 // batch_size * batch_size].view(-1, lanes, batch_size // lanes)
    shards = [set(lane.unique().tolist()) for lane in early.unbind(1)]
    assert sum(map(len, shards)) == len(set.union(*shards))


def test_items_are_moved_by_less_than_the_window_and_neighbours_are_parted() -> None:
    lane = streaming_order(starts_of([1000]), 10, window=100, seed=0, epoch=0)
    moved = (lane - torch.arange(1000)).abs()
    assert moved.max() < 100
    assert moved.float().mean() > 20  # of a third for two independent places
    assert (lane.diff().abs() == 1).float().mean() < 0.05
    whole = streaming_order(starts_of([1000]), 10, window=10**9, seed=0, epoch=0)
    assert (whole - torch.arange(1000)).abs().float().mean() > 300


def test_segments_are_what_processes_get_of_a_batch() -> None:
    for items in (1, 7, 16, 100, 128):
        for lanes, processes in ((8, 2), (16, 4), (16, 16)):
            edges = cut(items, lanes)
            for rank in range(processes):
                share = share_of(items, SimpleNamespace(rank=rank, size=processes))
                if share.weight == 0:
                    continue
                own = edges[rank * lanes // processes : (rank + 1) * lanes // processes + 1]
                assert share.take(torch.arange(items)).equal(
                    torch.arange(int(own[0]), int(own[-1]))
                )
