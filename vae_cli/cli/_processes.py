"""A command that several processes do together: they are started, and one speaks for all.

`vae train --processes 4` starts the same command line again, four times, with torch's launcher
(`torch.distributed.run --standalone`), and waits for it. A process that a launcher has started, be
it this one, an outer `torchrun` or Slurm's `srun`, joins the others instead.
"""

import sys
import uuid

import typer

from vae_cli.processes import read_place


def must_start_processes(count: int) -> bool:
    """Whether this process is alone, and `count` of them are asked for."""
    return count > 1 and read_place() is None


def start_processes(count: int) -> None:
    """Do this command in `count` processes on this machine, and wait for them.

    Raises:
        typer.Exit: one of them has failed; its exit code is that of the command.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "vae_cli", *sys.argv[1:])
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        raise typer.Exit(failure.exitcode) from error
