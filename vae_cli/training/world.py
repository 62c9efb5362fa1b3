"""The processes that train one model together, and the part of each batch that one of them has.

Each process has a copy of the state and a part of every batch. The loss of a batch is a mean over
its items, and so it is the sum of those of the parts, weighted by their numbers of items,

    L = Σ_r (B_r / B) L_r        ∂L/∂θ = Σ_r ∂/∂θ (B_r / B) L_r

so that all copies take the same step and stay equal (data parallelism; Goyal et al., 2017, sec. 3,
https://arxiv.org/abs/1706.02677). What an objective compares between the items of a batch, such as
the latents of a total correlation or of a discrepancy, is gathered from all parts: `Share.whole`.
A process may compute its part in several pieces, one after another, which needs less memory.
"""

import errno
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, Protocol, final

import torch
from torch import Tensor, distributed
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]
from torch.nn import functional as F

from vae_cli.data.batch import Batch
from vae_cli.data.split import Split
from vae_cli.errors import LostProcessError, UsageError, is_memory_full, mark
from vae_cli.noise import Part
from vae_cli.processes import Place

START_SECONDS = 120  # that a process waits at the start for the others
ANSWER_SECONDS = 600  # that it waits for them later: one may be saving
LONE_SECONDS = 7200  # that it waits while one of them reads data or fits something by itself


class World(Protocol):
    """The processes of a training. Each calls the same methods in the same order.

    Attributes:
        rank: of this process, from 0 to `size` − 1.
        size: the number of processes.
    """

    rank: int
    size: int

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums of what all processes have."""

    def sum_in_place(self, tensor: Tensor) -> Tensor:
        """The sum of what all processes have, in the memory of the tensor; `make_fx` records it."""

    def any(self, flag: bool) -> bool:
        """Whether the flag of one of the processes is true."""

    def largest(self, number: int) -> int:
        """The largest number that one of the processes has."""

    def share(self, text: str) -> str:
        """The text that process 0 has."""

    def copy(self, tensors: Sequence[Tensor]) -> None:
        """Put what process 0 has into the tensors of all, in place."""

    def wait(self, seconds: float) -> None:
        """Wait until all processes are here, however long one of them has something else to do."""

    def remember(self, text: str) -> None:
        """Let the launcher keep a text until it ends, also if it starts all processes again."""

    def recall(self) -> str:
        """The text that the launcher keeps; empty if there is none."""


@final
class Alone:
    """A single process: what it has is already the whole."""

    rank, size = 0, 1

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors as they are."""
        return list(tensors)

    def sum_in_place(self, tensor: Tensor) -> Tensor:
        """The tensor as it is."""
        return tensor

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

    def wait(self, seconds: float) -> None:
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

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums of what all processes have, exchanged as one tensor, because each costs time."""
        together = self.sum_in_place(torch.cat([tensor.flatten() for tensor in tensors]))
        parts = together.split([tensor.numel() for tensor in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

    def sum_in_place(self, tensor: Tensor) -> Tensor:
        """The sum of what all processes have, in the memory of the tensor; `make_fx` records it."""
        group = distributed.group.WORLD
        assert group is not None  # the group is initialized
        with answered():
            torch.ops._c10d_functional.all_reduce_(tensor, "sum", group.group_name)
            summed: Tensor = torch.ops._c10d_functional.wait_tensor(tensor)
        return summed

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

    def wait(self, seconds: float) -> None:
        """Wait until all processes are here, however long one of them has something else to do."""
        wait_for_answers(timedelta(seconds=seconds))
        with answered(seconds):
            distributed.all_reduce(torch.zeros(()))
        wait_for_answers(timedelta(seconds=ANSWER_SECONDS))

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
def answered(seconds: float | None = None) -> Iterator[None]:
    """A context that exchanges something with the other processes.

    Args:
        seconds: how long this waits for them; None is `ANSWER_SECONDS`.

    Raises:
        LostProcessError: one of them has ended, or does not answer in time.
    """
    try:
        yield
    except RuntimeError as error:
        if is_memory_full(error):
            raise
        raise LostProcessError(
            "another process has ended, or has not answered for "
            f"{seconds or ANSWER_SECONDS:,.0f} seconds"
        ) from error


@contextmanager
def join(
    place: Place | None,
    environment: Mapping[str, str] = os.environ,
    seconds: float = START_SECONDS,
) -> Iterator[World]:
    """The processes that a launcher has started together with this one, as long as they work.

    Args:
        place: of this process; None if it was started alone.
        environment: where torch's launcher says whether it keeps the store, and how often it has
            started the processes.
        seconds: in which all of them must meet.

    Raises:
        LostProcessError: the others are not met in time, or one of them ends before the others.
    """
    has_launcher = environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if place is None or (place.size == 1 and not has_launcher):
        yield ALONE
        return
    if place.is_one_machine:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    timeout = timedelta(seconds=seconds)
    try:
        store = open_store(place, timeout, is_server=place.rank == 0 and not has_launcher)
        attempt = f"attempt {environment.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        start = PrefixStore(attempt, store)
        meet(place, start, timeout)
    except (RuntimeError, ValueError, OSError) as error:
        raise LostProcessError(explain_lonely_start(place, seconds, error)) from error
    connect(place, start, timeout)
    try:
        wait_for_answers(timedelta(seconds=ANSWER_SECONDS))
        yield Processes(store)
    finally:
        distributed.destroy_process_group()


def connect(place: Place, store: Store, timeout: timedelta) -> None:
    """Make the default group of processes that have met, so that nothing keeps it for ever.

    The threads of a group end when nothing has it any more after it is destroyed. Until then one of
    gloo's may free a tensor that it has exchanged, and for this it needs Python: while Python ends,
    that aborts the process ("terminate called without an active exception"). A module of torch has
    the group that there is when it is imported as a default of its parameters. `make_fx` imports
    it, and so it is imported here, while there is no group.

    Args:
        place: of this process.
        store: in which the processes find the addresses of each other.
        timeout: of this, and of all that they exchange.

    Raises:
        LostProcessError: they cannot connect to each other.
    """
    from torch.distributed.nn import functional  # noqa: F401  before the group

    try:
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            timeout=timeout,
            rank=place.rank,
            world_size=place.size,
            store=store,
        )
    except (RuntimeError, ValueError) as error:
        raise LostProcessError(
            f"process {place.rank} of {place.size} has met the others, but cannot connect to them: "
            "check that no firewall is between, and that GLOO_SOCKET_IFNAME names the network that "
            "they share, such as eth0"
        ) from error


def wait_for_answers(timeout: timedelta) -> None:
    """How long to wait for the others from now on."""
    change = getattr(distributed, "set_timeout", None)  # since torch 2.13 or so
    (change or distributed.distributed_c10d._set_pg_timeout)(timeout)


def open_store(place: Place, timeout: timedelta, *, is_server: bool) -> Store:
    """The store of keys by which processes meet: of torch's launcher, or else of process 0.

    That of the launcher is the same one after it has started all processes again. torch's own way
    to it, `env://`, then finds the addresses of the processes that have ended. So the keys of each
    start need a prefix.

    A store of torch listens to the whole network, unless it is given what to listen to.
    """
    own = place.is_one_machine and is_server
    return TCPStore(
        place.address,
        place.port,
        is_master=is_server,
        timeout=timeout,
        master_listen_fd=listen(place) if own else None,
    )


def listen(place: Place) -> int:
    """The descriptor of a socket that only this machine reaches."""
    return socket.create_server((place.address, place.port)).detach()


def meet(place: Place, store: Store, timeout: timedelta) -> None:
    """Wait until all processes are there.

    Raises:
        RuntimeError: one of them has not come in time.
    """
    if store.add("arrived", 1) == place.size:
        store.set("all", "")
    store.wait(["all"], timeout)


def explain_lonely_start(place: Place, seconds: float, error: Exception) -> str:
    """What to check if the processes do not meet."""
    if os.strerror(errno.EADDRINUSE).lower() in str(error).lower():
        return f"port {place.port}, where the processes meet, is taken: export another MASTER_PORT"
    return (
        f"process {place.rank} of {place.size} has not met the others at {place.address}, port "
        f"{place.port}, in {seconds:.0f} seconds: check that all {place.size} were started, that "
        "this is the address of process 0, and that no firewall is between"
    )


@final
@dataclass(frozen=True, kw_only=True)
class Share:
    """What this process has of a batch.

    Attributes:
        world: the processes that share it.
        items: the number of items in the whole batch.
        part: which of them are this process's; None if all are.
        weight: how much its part counts. A batch may have fewer items than there are processes. A
            process for which nothing is left computes the first item with a weight of 0, so that
            its noise stays equal to that of the others.
        pieces: in which it computes its part, one after another, if it has so many items.
    """

    world: World
    items: int
    part: Part | None
    weight: float
    pieces: int = 1

    def take(self, values: Tensor, axis: int = -1) -> Tensor:
        """This process's part of one or several batches: `(..., items)` to `(..., part)`."""
        return values if self.part is None else values.narrow(axis, *self.part.range)

    def whole(self, values: Tensor) -> Tensor:
        """The values `(B, ...)` of all items of the batch, for those `(B_r, ...)` of this part."""
        if self.part is None:
            return values
        gathered: Tensor = Gathered.apply(values, self)
        return gathered

    def collect(self, values: Tensor) -> Tensor:
        """The same at process 0; the others keep no values, so that only one needs the memory."""
        found = self.whole(values)
        return found if self.world.rank == 0 else found[:0].clone()

    def divide(self) -> list["Share"]:
        """The shares of the pieces; only this one if there is one piece."""
        part = self.part or Part(0, self.items, self.items)
        count = min(self.pieces, part.length)
        if count <= 1:
            return [self]
        ends = [part.start + part.length * number // count for number in range(count + 1)]
        parts = [Part(start, end - start, self.items) for start, end in pairwise(ends)]
        return [
            replace(self, part=piece, weight=piece.length / self.items, pieces=1) for piece in parts
        ]


@final
class Gathered(torch.autograd.Function):
    """Values of all items of a batch, of which each process has those of its part.

    Each process computes a term w_s L_s of one loss from all values, so that the derivative by its
    own values z_r is Σ_s ∂(w_s L_s) / ∂z_r: the sum over the processes, of which it takes its part.
    A sum of values beside zeros is exact, and works for parts of unequal sizes.
    """

    @staticmethod
    def forward(context: Any, values: Tensor, share: Share) -> Tensor:
        """`(B_r, ...)` to `(B, ...)`."""
        context.share, context.length = share, len(values)
        start, own = kept_range(share)
        return share.world.sum_in_place(pad(values.narrow(0, 0, own), start, share.items))

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """`(B, ...)` to `(B_r, ...)`."""
        whole = gradient.clone(memory_format=torch.contiguous_format)
        own = context.share.world.sum_in_place(whole).narrow(0, *kept_range(context.share))
        return pad(own, 0, context.length), None


def kept_range(share: Share) -> tuple[int, int]:
    """Where the values of a process start in a batch, and how many it has; none if it has none."""
    assert share.part is not None
    return share.part.start, share.part.length if share.weight else 0


def pad(values: Tensor, start: int, total: int) -> Tensor:
    """`total` values `(total, ...)` that are 0, apart from these, which begin at `start`."""
    return F.pad(values, (0, 0) * (values.ndim - 1) + (start, total - start - len(values)))


def refuse_to_gather(values: Tensor) -> Tensor:  # noqa: ARG001
    """In place of `Share.whole`, for one of several pieces, when the others are not known.

    Raises:
        UsageError: always.
    """
    raise UsageError(
        "this objective compares the items of a batch, which must be computed together: "
        f"leave {mark('training.accumulate')} out"
    )


def share_of(items: int, world: World = ALONE, pieces: int = 1, unit: int = 1) -> Share:
    """The share of this process in a batch: consecutive items, about as many for each process.

    Args:
        items: of the batch.
        world: the processes.
        pieces: in which each process computes its part.
        unit: how many items are computed together, and so not divided.
    """
    if world.size == 1:
        return Share(world=world, items=items, part=None, weight=1.0, pieces=pieces)
    units, ranks = -(-items // unit), (world.rank, world.rank + 1)
    start, end = (min(items, unit * (units * rank // world.size)) for rank in ranks)
    part = Part(start, end - start, items) if start < end else Part(0, 1, items)
    return Share(world=world, items=items, part=part, weight=(end - start) / items, pieces=pieces)


def shared_batches(
    split: Split,
    order: Tensor,
    size: int,
    device: torch.device,
    *,
    world: World = ALONE,
    pieces: int = 1,
    unit: int = 1,
) -> Iterator[tuple[Batch, Share]]:
    """The batches of an order, of which this process gets its part; the last may be smaller.

    Args:
        split: the items.
        order: int64 `(M,)`, the same for all processes.
        size: items of a whole batch.
        device: where the batches are needed.
        world: the processes that share them.
        pieces: in which each process computes its part.
        unit: how many items are computed together, and so not divided.
    """
    count = len(order) // size
    full, rest = order[: count * size].view(count, size), order[None, count * size :]
    for batches in (full, rest):
        if batches.numel():
            share = share_of(batches.shape[1], world, pieces, unit)
            own = share.take(batches)
            for batch in split.batches(own.flatten(), own.shape[1], device):
                yield batch, share
