"""The process that this is among those that a launcher has started together.

torch's launcher (`torchrun`) and Slurm's (`srun`) tell each process its place in variables of the
environment. Nothing here imports torch, because every command asks.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from vae_cli.errors import UsageError


@final
@dataclass(frozen=True, kw_only=True)
class Place:
    """Which of several processes this one is.

    Attributes:
        rank: among all, from 0 to `size` − 1.
        size: the number of all processes.
        local_rank: among those on this machine.
        local_size: the number of those on this machine.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int

    @property
    def is_one_machine(self) -> bool:
        """Whether all processes are on this machine."""
        return self.local_size == self.size


def read_place(environment: Mapping[str, str] = os.environ) -> Place | None:
    """The place of this process; None if it was started alone.

    Raises:
        UsageError: a launcher has not told all of it.
    """
    if "RANK" not in environment and "WORLD_SIZE" not in environment:
        return None
    found = {}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        text = environment.get(name, "")
        if not text.isdecimal():
            raise UsageError(
                f"a launcher has started this as one of several processes, but {name} is "
                f'"{text}": start it with torchrun, which sets RANK, WORLD_SIZE, LOCAL_RANK, '
                "LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT"
            )
        found[name] = int(text)
    return Place(
        rank=found["RANK"],
        size=found["WORLD_SIZE"],
        local_rank=found["LOCAL_RANK"],
        local_size=found["LOCAL_WORLD_SIZE"],
    )
