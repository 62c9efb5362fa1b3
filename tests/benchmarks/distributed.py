"""How long a step of several processes takes, what they send, and what other networks would take.

    python tests/benchmarks/distributed.py overhead                 2 and 4 processes, every model
    python tests/benchmarks/distributed.py overhead --model "mlp 4096" --processes 2
    python tests/benchmarks/distributed.py links                    two machines, and the model of the time
    python tests/benchmarks/distributed.py predict                  8 GPUs, 64 machines

`overhead` compares a step with what it cannot do without: the computation of a part of the batch,
beside other processes that compute theirs, and the sum of the gradients over all processes. It also
compares the bytes that are sent with the least that a sum by a ring takes, 2 (N − 1) / N times the
bytes of the parameters for each process (Patarasuk & Yuan, 2009). Bytes are counted if this is
root, in a network namespace in which nobody else sends.

`links` runs one process in each of two network namespaces, with a limit of the bandwidth and a
delay between them, and compares a step with what the model of the time says:

    t(N) = c(B / N) + 2 (N − 1) a + 2 (N − 1) / N · G / w

c is the computation, a the latency of a message, G the bytes of the gradients, and w the bandwidth.
`predict` uses the same model for networks that are not here. docs/distributed.md has the results.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from rich.console import Console
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
from distributed_steps import MODELS
from machines import Machine, two_machines

WORKER = str(Path(__file__).with_name("distributed_steps.py"))
STEPS = {"mlp": 100, "mlp 4096": 8, "conv small": 8, "conv base": 2}  # about a second
MEASURED = ("mlp 4096", "conv small", "conv base")
BATCH = 128
SIZES = [4, 2**12, 2**16, 2**20, 2**22, 26_000_000]  # bytes of the sums that the model is fitted to
OWN_NETWORK = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
ADDRESS = ["--master-addr", "127.0.0.1", "--master-port", "29500"]
LINKS = ((1e10, 0.0), (1e9, 0.0), (1e9, 0.5e-3), (1e8, 0.0), (1e8, 2e-3))  # bits/s, seconds


def launch(processes: int, *words: str) -> dict[str, Any]:
    """What process 0 found, of several on this machine that divide its cores."""
    own = OWN_NETWORK if os.geteuid() == 0 else []
    place = ["--nnodes", "1", "--node-rank", "0", *ADDRESS] if own else ["--standalone"]
    torchrun = [*python(), *place, "--nproc-per-node", str(processes), WORKER, *words]
    return read(subprocess.Popen([*own, *torchrun], stdout=subprocess.PIPE, env=threads(processes)))


def launch_on(machines: tuple[Machine, Machine], *words: str) -> dict[str, Any]:
    """What process 0 found, of one on each of two machines."""
    started = []
    for rank, machine in enumerate(machines):
        place = ["--nnodes", "2", "--node-rank", str(rank), "--nproc-per-node", "1"]
        place += ["--master-addr", machines[0].address, "--master-port", "29500"]
        command = machine.command(*python(), *place, WORKER, *words)
        own = threads(2) | {"GLOO_SOCKET_IFNAME": machine.name}
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=own))
    found, _ = read(started[0]), started[1].wait()
    return found


def python() -> list[str]:
    """The launcher of torch."""
    return [sys.executable, "-m", "torch.distributed.run"]


def threads(processes: int) -> dict[str, str]:
    """The environment of processes that divide the cores."""
    share = str(max(1, (os.cpu_count() or 1) // processes))
    return os.environ | {"OMP_NUM_THREADS": share, "TORCH_CPP_LOG_LEVEL": "ERROR"}


def read(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What a process prints as JSON."""
    printed, _ = process.communicate()
    if process.returncode:
        raise SystemExit("the measurement failed")
    found: dict[str, Any] = json.loads(printed)
    return found


def median(found: dict[str, Any], kind: str, column: int = 0) -> float:
    """Over turns, of the seconds (0), the processor seconds (1) or the bytes (2) of a step."""
    return statistics.median(turn[column] for turn in found[kind])


def overhead(found: dict[str, Any], column: int) -> float:
    """How much longer a step takes than the computation and the exchange, median over turns."""
    turns = zip(found["step"], found["compute"], found["exchange"], strict=True)
    return statistics.median(a[column] / (b[column] + c[column]) - 1 for a, b, c in turns)


def measure_overheads(options: argparse.Namespace) -> Table:
    """A row for each model and number of processes."""
    titles = ("N", "ms a step", "compute", "exchange", "overhead", "in processor time")
    table = Table(f"batch {BATCH}", *titles, "sent / least", box=None)
    for name in options.model or MEASURED:
        for size in options.processes or (2, 4):
            steps = str(max(1, STEPS[name] * 2 // size))
            found = launch(size, "steps", name, str(BATCH), steps, str(options.turns))
            least = 2 * (size - 1) * found["parameter_bytes"]  # of all processes together
            table.add_row(
                name,
                str(size),
                *(f"{1000 * median(found, kind):.1f}" for kind in ("step", "compute", "exchange")),
                f"{100 * overhead(found, 0):.1f} %",
                f"{100 * overhead(found, 1):.1f} %",
                f"{median(found, 'step', 2) / least:.3f}" if os.geteuid() == 0 else "",
            )
    return table


@final
@dataclass(frozen=True)
class Network:
    """What connects the processes.

    Attributes:
        bandwidth: bytes a second of one process in one direction.
        latency: seconds of a message.
    """

    bandwidth: float
    latency: float

    def exchange(self, size: int, processes: int) -> float:
        """The seconds of a sum of so many bytes over the processes, by a ring."""
        messages = 2 * (processes - 1)
        return messages * (self.latency + size / processes / self.bandwidth)

    def behind(self, rate: float, delay: float) -> "Network":
        """The same processes with a link between them, of so many bits a second and a delay."""
        return Network(1 / (1 / self.bandwidth + 8 / rate), self.latency + delay)


def fit(seconds: dict[int, float], processes: int) -> Network:
    """The network whose sums take about as long, by least squares of the relative errors."""
    sizes = torch.tensor([float(size) for size in seconds], dtype=torch.float64)
    times = torch.tensor(list(seconds.values()), dtype=torch.float64)
    messages = 2 * (processes - 1)
    columns = torch.stack([torch.full_like(sizes, messages), messages * sizes / processes], 1)
    latency, inverse = torch.linalg.lstsq(columns / times[:, None], torch.ones_like(times)).solution
    return Network(1 / inverse.item(), latency.item())


def measure_links(options: argparse.Namespace) -> Table:
    """A row for each model and link: what a step takes, and what it should."""
    with two_machines() as machines:
        sums = launch_on(machines, "sums", *map(str, SIZES))
    here = fit({int(size): found for size, found in sums.items()}, 2)
    table = Table(
        f"batch {BATCH}, w = {here.bandwidth / 1e9:.2f} GB/s, a = {1e6 * here.latency:.0f} µs",
        *("link", "ms a step", "compute", "exchange", "model", "error"),
        box=None,
    )
    for name in options.model or ("mlp", "mlp 4096", "conv small"):
        for rate, delay in LINKS:
            with two_machines(rate, delay) as machines:
                words = (name, str(BATCH), str(max(1, STEPS[name] // 4)), str(options.turns))
                found = launch_on(machines, "steps", *words)
            exchange = here.behind(rate, delay).exchange(found["parameter_bytes"], 2)
            seconds, compute = median(found, "step"), median(found, "compute")
            table.add_row(
                name,
                f"{rate / 1e6:,.0f} Mbit/s, {1000 * delay:g} ms",
                *(f"{1000 * t:.1f}" for t in (seconds, compute, median(found, "exchange"))),
                f"{1000 * (compute + exchange):.1f}",
                f"{100 * ((compute + exchange) / seconds - 1):+.0f} %",
            )
    return table


def main(report: Callable[..., None]) -> None:
    """Do what a word says, and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["overhead", "links"])
    parser.add_argument("--model", action="append", choices=MODELS, help="repeat for several")
    parser.add_argument("--processes", type=int, action="append", help="default 2 and 4")
    parser.add_argument("--turns", type=int, default=7, help="default 7")
    options = parser.parse_args()
    report(f"torch {torch.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    report({"overhead": measure_overheads, "links": measure_links}[options.what](options))
    report(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(Console(soft_wrap=True, highlight=False).print)
