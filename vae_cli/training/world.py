"""The processes that train one model together, and the part of each batch that one of them has.

Each process has a copy of the state and a part of every batch. The gradient of a loss that is a
mean over items is the mean of the gradients of the parts, weighted by their numbers of items,

    g = Σ_r (B_r / B) g_r

so that all copies take the same step and stay equal (data parallelism; Goyal et al., 2017, sec. 3,
https://arxiv.org/abs/1706.02677). An objective that compares the items of a batch with each other,
such as a total correlation or a discrepancy, compares those of each part.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, final

import torch
from torch import Tensor, distributed
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from vae_cli.data.batch import Batch
from vae_cli.data.split import Split
from vae_cli.errors import LostProcessError
from vae_cli.noise import Part
from vae_cli.processes import Place

START_SECONDS = 120  # that a process waits at the start for the others
ANSWER_SECONDS = 600  # that it waits for them later: one may be saving, or still read its data


class World(Protocol):
    """The processes of a training. Each calls the same methods in the same order.

    Attributes:
        rank: of this process, from 0 to `size` − 1.
        size: the number of processes.
    """

    rank: int
    size: int

    def mean(self, tensors: Sequence[Tensor], weight: float) -> list[Tensor]:
        """The weighted averages of what all processes have; their weights sum to 1."""

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums of what all processes have."""

    def any(self, flag: bool) -> bool:
        """Whether the flag of one of the processes is true."""

    def largest(self, number: int) -> int:
        """The largest number that one of the processes has."""

    def share(self, text: str) -> str:
        """The text that process 0 has."""

    def copy(self, tensors: Sequence[Tensor]) -> None:
        """Put what process 0 has into the tensors of all, in place."""

    def remember(self, text: str) -> None:
        """Let the launcher keep a text until it ends, also if it starts all processes again."""

    def recall(self) -> str:
        """The text that the launcher keeps; empty if there is none."""


@final
class Alone:
    """A single process: what it has is already the whole."""

    rank, size = 0, 1

    def mean(self, tensors: Sequence[Tensor], weight: float) -> list[Tensor]:  # noqa: ARG002
        """The tensors as they are."""
        return list(tensors)

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors as they are."""
        return list(tensors)

    def any(self, flag: bool) -> bool:
        """The flag as it is."""
        return flag

    def largest(self, number: int) -> int:
        """The number as it is."""
        return number

    def share(self, text: str) -> str:
        """The text as it is."""
        return text

    def copy(self, tensors: Sequence[Tensor]) -> None:
        """Nothing is to be done."""

    def remember(self, text: str) -> None:
        """Nothing is to be done: nobody starts this process again."""

    def recall(self) -> str:
        """Nothing."""
        return ""


ALONE = Alone()


MEMORY = "vae"  # the key of what the launcher keeps


@final
class Processes:
    """The processes of the default group of `torch.distributed`, which must be initialized.

    Tensors are exchanged where they lie: by NCCL on GPUs, which are this process's own, and by gloo
    on processors, on which all that is no tensor is exchanged too.

    Args:
        store: of the launcher, which outlives the processes; None if there is none.
    """

    def __init__(self, store: Store | None = None) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self.store = store

    def mean(self, tensors: Sequence[Tensor], weight: float) -> list[Tensor]:
        """The weighted averages of what all processes have; their weights sum to 1."""
        return self.sum([weight * tensor for tensor in tensors])

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums of what all processes have, exchanged as one tensor, because each costs time."""
        together = torch.cat([tensor.flatten() for tensor in tensors])
        with answered():
            distributed.all_reduce(together)
        parts = together.split([tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def any(self, flag: bool) -> bool:
        """Whether the flag of one of the processes is true. Waits for all of them."""
        return self.largest(int(flag)) > 0

    def largest(self, number: int) -> int:
        """The largest number that one of the processes has. Waits for all of them."""
        found = torch.tensor(number)
        with answered():
            distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return int(found)

    def share(self, text: str) -> str:
        """The text that process 0 has."""
        own = torch.tensor(bytearray(text.encode()), dtype=torch.uint8)
        size = self.largest(len(own) if self.rank == 0 else 0)
        letters = own if self.rank == 0 else own.new_empty(size)
        self.copy([letters])
        return letters.numpy().tobytes().decode()

    def copy(self, tensors: Sequence[Tensor]) -> None:
        """Put what process 0 has into the tensors of all, in place."""
        with answered():
            for tensor in tensors:
                own = tensor.contiguous()
                distributed.broadcast(own, 0)
                tensor.copy_(own)

    def remember(self, text: str) -> None:
        """Let the launcher keep a text until it ends, also if it starts all processes again."""
        if self.store is not None:
            with answered():
                self.store.set(MEMORY, text)

    def recall(self) -> str:
        """The text that the launcher keeps; empty if there is none."""
        with answered():
            known = self.store is not None and self.store.check([MEMORY])
            return self.store.get(MEMORY).decode() if known and self.store else ""


def gather_texts(text: str, world: World) -> list[str]:
    """The texts of all processes, by rank; short ones, because each process gets all of them."""
    own = torch.tensor(bytearray(text.encode()), dtype=torch.uint8)
    table = torch.zeros(world.size, world.largest(len(own)), dtype=torch.uint8)
    table[world.rank, : len(own)] = own
    (table,) = world.sum([table])
    return [row.numpy().tobytes().rstrip(b"\0").decode() for row in table]


@contextmanager
def answered() -> Iterator[None]:
    """A context that exchanges something with the other processes.

    Raises:
        LostProcessError: one of them has ended, or does not answer in time.
    """
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError(
            f"another process has ended, or has not answered for {ANSWER_SECONDS // 60} minutes"
        ) from error


@contextmanager
def join(place: Place | None, environment: Mapping[str, str] = os.environ) -> Iterator[World]:
    """The processes that a launcher has started together with this one, as long as they work.

    Args:
        place: of this process; None if it was started alone.
        environment: where the launcher says how to meet.

    Raises:
        LostProcessError: the others are not met in time, or one of them ends before the others.
    """
    has_launcher = environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if place is None or (place.size == 1 and not has_launcher):
        yield ALONE
        return
    if place.is_one_machine:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    try:
        store = open_store(environment, is_server=place.rank == 0 and not has_launcher)
        attempt = f"attempt {environment.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        start = PrefixStore(attempt, store)
        meet(place, start)
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            timeout=timedelta(seconds=ANSWER_SECONDS),
            rank=place.rank,
            world_size=place.size,
            store=start,
        )
    except (RuntimeError, ValueError) as error:
        raise LostProcessError(explain_lonely_start(place)) from error
    try:
        yield Processes(store)
    finally:
        distributed.destroy_process_group()


def open_store(environment: Mapping[str, str], *, is_server: bool) -> Store:
    """The store of keys by which processes meet: of torch's launcher, or else of process 0.

    That of the launcher is the same one after it has started all processes again. torch's own way
    to it, `env://`, then finds the addresses of the processes that have ended. So the keys of each
    start need a prefix.
    """
    return TCPStore(
        environment["MASTER_ADDR"],
        int(environment["MASTER_PORT"]),
        is_master=is_server,
        timeout=timedelta(seconds=START_SECONDS),
    )


def meet(place: Place, store: Store) -> None:
    """Wait until all processes are there.

    Raises:
        RuntimeError: one of them has not come in time.
    """
    if store.add("arrived", 1) == place.size:
        store.set("all", "")
    store.wait(["all"], timedelta(seconds=START_SECONDS))


def explain_lonely_start(place: Place) -> str:
    """What to check if the processes do not meet."""
    where = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
    return (
        f"process {place.rank} of {place.size} has not met the others at {where} in "
        f"{START_SECONDS} seconds: check that all were started, and that no firewall is between"
    )


@final
@dataclass(frozen=True)
class Share:
    """What this process has of a batch.

    Attributes:
        world: the processes that share it.
        items: the number of items in the whole batch.
        part: which of them are this process's; None if all are.
        weight: how much its part counts. A batch may have fewer items than there are processes. A
            process for which nothing is left computes the first item with a weight of 0, so that
            its noise stays equal to that of the others.
    """

    world: World
    items: int
    part: Part | None
    weight: float

    def take(self, order: Tensor) -> Tensor:
        """This process's part of one or several batches: `(..., items)` to `(..., part)`."""
        return order if self.part is None else order.narrow(-1, self.part.start, self.part.length)


def share_of(items: int, world: World) -> Share:
    """The share of this process in a batch: consecutive items, about as many for each process."""
    if world.size == 1:
        return Share(world, items, None, 1.0)
    start, end = (items * rank // world.size for rank in (world.rank, world.rank + 1))
    part = Part(start, end - start, items) if start < end else Part(0, 1, items)
    return Share(world, items, part, (end - start) / items)


def shared_batches(
    split: Split, order: Tensor, size: int, device: torch.device, world: World = ALONE
) -> Iterator[tuple[Batch, Share]]:
    """The batches of an order, of which this process gets its part; the last may be smaller.

    Args:
        split: the items.
        order: int64 `(M,)`, the same for all processes.
        size: items of a whole batch.
        device: where the batches are needed.
        world: the processes that share them.
    """
    count = len(order) // size
    full, rest = order[: count * size].view(count, size), order[None, count * size :]
    for batches in (full, rest):
        if batches.numel():
            share = share_of(batches.shape[1], world)
            own = share.take(batches)
            for batch in split.batches(own.flatten(), own.shape[1], device):
                yield batch, share
