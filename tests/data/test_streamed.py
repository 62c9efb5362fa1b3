import gc
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from shards import NumberedShards, images_of, numbers_of

from vae_cli.data.split import InMemory
from vae_cli.data.streamed import SHARDS_AHEAD, SPARE_BATCHES, Streamed
from vae_cli.errors import VAEError
from vae_cli.noise import uniform_by_row
from vae_cli.training.world import shared_batches

HELPERS = str(Path(__file__).parents[1])  # a command in this process may have set a safe path

CPU = torch.device("cpu")
SIZES = [30, 7, 0, 41, 12, 25, 3, 38, 19, 22, 40]


def own_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("vae-")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not own_threads()


def test_batches_are_those_of_the_same_items_in_memory() -> None:
    shards = NumberedShards(SIZES)
    rows = torch.arange(sum(SIZES))[::2]
    streamed = Streamed.whole(shards, 50).take(torch.arange(sum(SIZES))[::2])
    in_memory = InMemory(images_of(torch.arange(sum(SIZES)), (1, 2, 2)), rows, shards.labels[rows])
    order = streamed.order(seed=0, epoch=0, batch_size=16)
    assert order.sort().values.equal(torch.arange(len(rows)))
    assert streamed.labels.equal(in_memory.labels)
    for size in (1, 16, 1000):
        pairs = zip(
            streamed.batches(order, size, CPU), in_memory.batches(order, size, CPU), strict=True
        )
        assert all(own.x.equal(other.x) for own, other in pairs)
    assert not list(streamed.batches(order[:0], 16, CPU))
    assert not shards.ready


def test_an_epoch_that_goes_on_reads_only_what_is_left() -> None:
    shards = NumberedShards([64] * 20)
    streamed = Streamed.whole(shards, 100)
    order = streamed.order(seed=0, epoch=1, batch_size=32)
    whole = [batch.x for batch in streamed.batches(order, 32, CPU)]
    shards.reads.clear()
    rest = [batch.x for batch in streamed.batches(order[30 * 32 :], 32, CPU)]
    assert all(one.equal(other) for one, other in zip(whole[30:], rest, strict=True))
    assert sum(len(places) for _, places in shards.reads) == 10 * 32


def test_several_processes_together_have_the_batches_of_one_and_read_each_shard_once() -> None:
    sizes = [40] * 32
    whole = [
        numbers_of(batch.x)
        for batch in Streamed.whole(NumberedShards(sizes), 300).batches(
            Streamed.whole(NumberedShards(sizes), 300).order(seed=0, epoch=0, batch_size=48),
            48,
            CPU,
        )
    ]
    for count in (2, 3, 4):
        reads: list[set[int]] = []
        parts: list[list[torch.Tensor]] = []
        for rank in range(count):
            shards = NumberedShards(sizes)
            streamed = Streamed.whole(shards, 300)
            order = streamed.order(seed=0, epoch=0, batch_size=48)
            batches = shared_batches(
                streamed, order, 48, CPU, world=SimpleNamespace(rank=rank, size=count)
            )
            parts.append([numbers_of(batch.x) for batch, _ in batches])
            reads.append({shard for shard, _ in shards.reads})
            assert sum(len(places) for _, places in shards.reads) == sum(map(len, parts[-1]))
        together = [torch.cat(batch) for batch in zip(*parts, strict=True)]
        assert all(one.equal(other) for one, other in zip(together, whole, strict=True))
        assert count == 3 or sum(map(len, reads)) == len(sizes)


def test_shards_are_ready_before_they_are_read_and_let_go_afterwards() -> None:
    shards = NumberedShards([20] * 200)
    streamed = Streamed.whole(shards, 64)
    batches = streamed.batches(streamed.order(seed=0, epoch=0, batch_size=32), 32, CPU)
    assert sum(len(batch) for batch in batches) == 4000
    assert not shards.ready
    in_window = 16 * 3  # two that a lane is in, and one that is let go a few batches later
    assert shards.most_ready <= in_window + SHARDS_AHEAD


def test_reading_goes_ahead_but_only_a_few_batches() -> None:
    shards = NumberedShards([1000] * 4)
    streamed = Streamed.whole(shards, 100)
    batches = streamed.batches(torch.arange(4000), 10, CPU)
    next(batches)
    time.sleep(0.2)
    ahead = sum(len(places) for _, places in shards.reads) // 10
    assert 1 < ahead <= streamed.readers + 1 + SPARE_BATCHES + torch.get_num_threads()
    batches.close()


def test_threads_end_if_the_iterator_is_given_up_or_its_user_fails() -> None:
    shards = NumberedShards([1000] * 4)
    streamed = Streamed.whole(shards, 100)
    for error in (ZeroDivisionError, KeyboardInterrupt):
        with pytest.raises(error):
            fail_in_an_epoch(streamed, error)
        gc.collect()
        assert not own_threads()
        assert not shards.ready


def test_a_shard_that_becomes_ready_when_nobody_wants_it_any_more_is_let_go() -> None:
    shards = NumberedShards([64] * 40)
    shards.delay = 0.05
    streamed = Streamed.whole(shards, 100)
    batches = streamed.batches(streamed.order(seed=0, epoch=0, batch_size=32), 32, CPU)
    next(batches)
    batches.close()
    assert not shards.ready


def fail_in_an_epoch(streamed: Streamed, error: type[BaseException]) -> None:
    for _ in streamed.batches(torch.arange(4000), 10, CPU):
        raise error


def test_an_error_of_a_reading_thread_names_the_shard() -> None:
    shards = NumberedShards([50] * 4)
    streamed = Streamed.whole(shards, 100)
    shards.failing[2] = OSError(5, "Input/output error")
    with pytest.raises(VAEError, match=r"^shard-2.tar cannot be read: .*Input/output error$"):
        list(streamed.batches(torch.arange(200), 10, CPU))
    shards.failing[2] = VAEError("item 120 of shard-2.tar is damaged")
    with pytest.raises(VAEError, match=r"^item 120 of shard-2.tar is damaged$"):
        list(streamed.batches(torch.arange(200), 10, CPU))
    shards.failing[2] = AssertionError("a mistake of our own stays what it is")
    with pytest.raises(AssertionError, match="of our own"):
        list(streamed.batches(torch.arange(200), 10, CPU))


def test_what_is_drawn_belongs_to_the_item() -> None:
    streamed = Streamed.whole(NumberedShards([50] * 4), 100)

    def draw(x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return x + uniform_by_row("pixels", rows, x.shape[1:])

    drawn, order = replace(streamed, draw=draw), torch.randperm(200)
    (whole,) = drawn.batches(torch.arange(200), 200, CPU)
    (other,) = drawn.batches(order, 200, CPU)
    assert other.x.equal(whole.x[order])


def test_a_streamed_part_is_the_same_after_pickling() -> None:
    streamed = Streamed.whole(NumberedShards(SIZES), 50)
    copy = pickle.loads(pickle.dumps(streamed))
    order = streamed.order(seed=0, epoch=0, batch_size=16)
    pairs = zip(copy.batches(order, 16, CPU), streamed.batches(order, 16, CPU), strict=True)
    assert all(one.x.equal(other.x) for one, other in pairs)


MEASURE = """
import resource, torch
from shards import NumberedShards
from vae_cli.data.streamed import Streamed
streamed = Streamed.whole(NumberedShards([1000] * 128, (3, 64, 64)), 4096)
order, peaks = streamed.order(seed=0, epoch=0, batch_size=64), []
for batch in streamed.batches(order, 64, torch.device("cpu")):
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print((peaks[-1] - peaks[9]) / 1024, len(peaks))
"""


COUNT_THREADS = """
import os, torch
from pathlib import Path
from shard_files import opened, picture, write_tar
from vae_cli.data.streamed import FETCHERS, Streamed
photos = {f"{item}.png": picture("PNG", "RGB", (260, 260), item) for item in range(40)}
shards = opened(write_tar(Path("FOLDER") / "photos.tar", photos), image_size=256).shards
streamed = Streamed.whole(shards, 20)
torch.rand(1000, 1000).add_(1)  # starts the threads of the thread that computes
before = len(os.listdir("/proc/self/task"))
batches = streamed.batches(torch.arange(40), 8, torch.device("cpu"))
next(batches)
print(len(os.listdir("/proc/self/task")) - before <= torch.get_num_threads() + FETCHERS)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux shows its threads")
def test_threads_that_read_start_no_threads_of_torch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT_THREADS.replace("FOLDER", str(tmp_path))],
        env=os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": HELPERS},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "True\n"


@pytest.mark.slow
def test_memory_is_that_of_a_few_batches_however_many_items_there_are() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        env=os.environ | {"PYTHONPATH": HELPERS},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    grown, batches = done.stdout.split()
    assert int(batches) == 2000
    assert float(grown) < 1500 / 20  # MiB; all items take 1500
