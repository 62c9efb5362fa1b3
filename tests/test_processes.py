"""The place of a process, as launchers tell it."""

import pytest

from vae_cli.errors import UsageError
from vae_cli.processes import LOOPBACK, Place, first_node, read_place

TORCHRUN = {
    **{"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"},
    **{"MASTER_ADDR": "gpu1", "MASTER_PORT": "29500"},
}
SBATCH = {  # what a script has, be it srun that starts the command in it or not
    **{"SLURM_JOB_ID": "77", "SLURM_NTASKS": "7", "SLURM_NNODES": "2", "SLURM_PROCID": "0"},
    **{"SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NODELIST": "gpu[07-08]"},
}
SRUN = {
    **SBATCH,
    **{"SLURM_STEP_ID": "2", "SLURM_STEP_NUM_TASKS": "7", "SLURM_STEP_TASKS_PER_NODE": "4,3"},
    **{"SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_NODEID": "1"},
    "SLURM_STEP_NODELIST": "gpu[07-08]",
}


def test_torchrun_tells_the_place() -> None:
    found = read_place(TORCHRUN)
    assert found == Place(rank=5, size=8, local_rank=1, local_size=4, address="gpu1", port=29500)
    assert not found.is_one_machine
    for name in TORCHRUN:
        with pytest.raises(UsageError, match=f'{name} is "": start it with torchrun'):
            read_place({**TORCHRUN, name: ""})
    with pytest.raises(UsageError, match='LOCAL_RANK is "x"'):
        read_place({**TORCHRUN, "LOCAL_RANK": "x"})


def test_srun_tells_the_place_but_for_the_port_which_all_find_alike() -> None:
    found = read_place(SRUN)
    assert found
    assert (found.rank, found.size, found.local_rank, found.local_size) == (5, 7, 1, 3)
    assert found.address == "gpu07"
    first = read_place({**SRUN, "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"})
    assert first
    assert (first.local_size, first.address, first.port) == (4, found.address, found.port)
    other = read_place({**SRUN, "SLURM_STEP_ID": "3"})
    assert other
    assert other.port != found.port, "two steps of a job work beside each other"
    exported = read_place({**SRUN, "MASTER_ADDR": "login", "MASTER_PORT": "1234"})
    assert exported
    assert (exported.address, exported.port) == ("login", 1234)
    one_node = {**SRUN, "SLURM_STEP_TASKS_PER_NODE": "7", "SLURM_NODEID": "0"}
    alone = read_place(one_node)
    assert alone
    assert (alone.is_one_machine, alone.address) == (True, LOOPBACK)
    nodes = {"SLURM_STEP_NUM_TASKS": "11", "SLURM_STEP_TASKS_PER_NODE": "4(x2),3"}
    sizes = [read_place({**SRUN, **nodes, "SLURM_NODEID": str(node)}) for node in range(3)]
    assert [one and one.local_size for one in sizes] == [4, 4, 3]


def test_a_script_of_sbatch_without_srun_is_alone() -> None:
    assert read_place({}) is None
    assert read_place(SBATCH) is None
    assert read_place({**SBATCH, "SLURM_STEP_NUM_TASKS": "1"}) is None, "srun --pty bash"


@pytest.mark.parametrize("name", ["SLURM_NODEID", "SLURM_STEP_TASKS_PER_NODE", "SLURM_PROCID"])
def test_srun_that_does_not_tell_enough_is_one_line_that_says_what_to_export(name: str) -> None:
    message = f"does not say which .*{name}.*: start torchrun with it, .* export RANK"
    with pytest.raises(UsageError, match=message):
        read_place({key: value for key, value in SRUN.items() if key != name})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu1", "gpu1"),
        ("gpu[07-09,12],cpu1", "gpu07"),
        ("a-b.example.org,c", "a-b.example.org"),
        ("n[3,5]", "n3"),
    ],
)
def test_the_first_node_of_a_list(nodes: str, first: str) -> None:
    assert first_node(nodes) == first
