"""The process that this is among those that a launcher has started together.

torch's launcher (`torchrun`) and Slurm's (`srun`) tell each process its place in variables of the
environment. Nothing here imports torch, because every command asks.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from vae_cli.errors import UsageError

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 30_000)  # below those that systems give to connections
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
SLURM_SIZE = "SLURM_STEP_NUM_TASKS"  # which srun sets, and sbatch does not
FIRST_NODE = re.compile(r"([\w.-]+)(?:\[(\d+)[\d,-]*\])?(?:,|$)", re.ASCII)  # gpu[07-09,12],cpu1
TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?(?:,|$)", re.ASCII)  # 4(x2),3


@final
@dataclass(frozen=True, kw_only=True)
class Place:
    """Which of several processes this one is, and where they meet.

    Attributes:
        rank: among all, from 0 to `size` − 1.
        size: the number of all processes.
        local_rank: among those on this machine.
        local_size: the number of those on this machine.
        address: of the machine of process 0.
        port: there.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    address: str
    port: int

    @property
    def is_one_machine(self) -> bool:
        """Whether all processes are on this machine."""
        return self.local_size == self.size


def first_place(count: int) -> Place:
    """The place of the first of so many processes on this machine, which need not be started."""
    return Place(
        rank=0, size=count, local_rank=0, local_size=count, address=LOOPBACK, port=PORTS[0]
    )


def read_place(environment: Mapping[str, str] = os.environ) -> Place | None:
    """The place of this process; None if it was started alone.

    Raises:
        UsageError: a launcher has not told all of it.
    """
    if "RANK" in environment or "WORLD_SIZE" in environment:
        return read_torchrun(environment)
    if environment.get(SLURM_SIZE, "1") != "1":
        return read_slurm(environment)
    return None


def read_torchrun(environment: Mapping[str, str]) -> Place:
    """The place that `torchrun` has given to this process.

    Raises:
        UsageError: a variable is missing, or is no number.
    """
    *numbers, address, port = TORCHRUN
    for name in TORCHRUN:
        text = environment.get(name, "")
        if not (text and (text.isdecimal() or name == address)):
            raise UsageError(
                f"a launcher has started this as one of several processes, but {name} is "
                f'"{text}": start it with torchrun, which sets {", ".join(numbers)}, {address} '
                f"and {port}"
            )
    rank, size, local_rank, local_size = (int(environment[name]) for name in numbers)
    return Place(
        rank=rank,
        size=size,
        local_rank=local_rank,
        local_size=local_size,
        address=environment[address],
        port=int(environment[port]),
    )


def read_slurm(environment: Mapping[str, str]) -> Place:
    """The place that `srun` has given to this process.

    Slurm does not say where processes meet. It is the first of the nodes, and a port that two steps
    hardly have in common, unless MASTER_ADDR and MASTER_PORT are exported.

    Raises:
        UsageError: a variable is missing.
    """
    address, port = environment.get("MASTER_ADDR", ""), environment.get("MASTER_PORT", "")
    try:
        size, rank, local_rank, node = (
            int(environment[name])
            for name in (SLURM_SIZE, "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID")
        )
        local_size = count_tasks(environment["SLURM_STEP_TASKS_PER_NODE"])[node]
        own = LOOPBACK if local_size == size else first_node(environment["SLURM_STEP_NODELIST"])
        step = int(environment["SLURM_JOB_ID"]) * 7 + int(environment.get("SLURM_STEP_ID", "0"))
        return Place(
            rank=rank,
            size=size,
            local_rank=local_rank,
            local_size=local_size,
            address=address or own,
            port=int(port) if port else PORTS[step % len(PORTS)],
        )
    except (KeyError, ValueError, IndexError) as error:
        raise UsageError(
            f"srun has started this as one of several processes, but does not say which ({error}): "
            "start torchrun with it, once on each node, or export " + ", ".join(TORCHRUN)
        ) from error


def count_tasks(text: str) -> list[int]:
    """The processes on each node, as Slurm writes them: `4(x2),3` is 4, 4 and 3."""
    found = [(int(count), int(times or 1)) for count, times in TASKS.findall(text)]
    return [count for count, times in found for _ in range(times)]


def first_node(text: str) -> str:
    """The first of some nodes, as Slurm writes them: `gpu[07-09,12],cpu1` begins with gpu07.

    Raises:
        ValueError: they are written otherwise.
    """
    found = FIRST_NODE.match(text)
    if not found:
        raise ValueError(f"nodes {text}")
    return found[1] + (found[2] or "")
