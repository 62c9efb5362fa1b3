"""How long a step of several processes takes, what they send, and what other networks would take.

    python tests/benchmarks/distributed.py overhead                 1, 2 and 4 processes
    python tests/benchmarks/distributed.py overhead --model "mlp 4096" --processes 2
    python tests/benchmarks/distributed.py links                    two machines, and a model
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
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
import distributed_steps
import machines

WORKER = str(Path(__file__).with_name("distributed_steps.py"))
STEPS = {"mlp": 100, "mlp 4096": 8, "conv small": 8, "conv base": 2}  # about a second
BATCH = 128
LIMIT = 600  # seconds of a measurement
SIZES = [4, 2**12, 2**16, 2**20, 2**22, 26_000_000]  # bytes of sums that the model is fitted to

# Processes, bytes a second in one direction, seconds of a message. Of a link of GPUs, three
# quarters are taken: NVLink of an H100 has 900 GB/s in both directions together (its datasheet),
# and 16 lanes of PCIe 4.0 have 32 GB/s in each.
GPUS = {
    "8 GPUs, NVLink": (8, 0.75 * 450e9, 5e-6),
    "8 GPUs, PCIe 4.0": (8, 0.75 * 32e9, 10e-6),
}
CLUSTERS = {"64 machines, 100 Gbit/s": (64, 1e11), "64 machines, 10 Gbit/s": (64, 1e10)}
DELAY = 20e-6  # seconds between two machines of a cluster
LINKS = ((1e10, 0.0), (1e9, 0.0), (1e9, 0.5e-3), (1e8, 0.0), (1e8, 2e-3))  # bits/s, seconds


def launch(processes: int, *words: str) -> dict[str, Any]:
    """What process 0 found, of several on this machine that divide its cores."""
    if os.geteuid():
        return start([[]] * processes, "127.0.0.1", ["lo"] * processes, *words)
    with machines.two_machines() as (machine, _):  # nobody else sends in its network
        return start([machine.command()] * processes, "127.0.0.1", ["lo"] * processes, *words)


def launch_on(two: tuple[machines.Machine, machines.Machine], *words: str) -> dict[str, Any]:
    """What process 0 found, of one on each of two machines."""
    return start(
        [machine.command() for machine in two],
        two[0].address,
        [machine.name for machine in two],
        *words,
    )


def start(
    places: list[list[str]], address: str, interfaces: list[str], *words: str
) -> dict[str, Any]:
    """What process 0 prints.

    Args:
        places: for each process, what its command line begins with.
        address: of process 0.
        interfaces: by which each process reaches the others.
        words: that tell each of them what to measure.
    """
    size = len(places)
    common = {
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(interfaces.count(interfaces[0])),
        "MASTER_ADDR": address,
        "MASTER_PORT": "29500",
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # which warns of addresses without names
    }
    processes = []
    for rank, (place, interface) in enumerate(zip(places, interfaces, strict=True)):
        own = common | {"RANK": str(rank), "GLOO_SOCKET_IFNAME": interface}
        own["LOCAL_RANK"] = str(rank % int(common["LOCAL_WORLD_SIZE"]))
        command = [*place, sys.executable, WORKER, *words]
        out = subprocess.DEVNULL if rank else subprocess.PIPE
        processes.append(subprocess.Popen(command, stdout=out, env=os.environ | own))
    try:
        printed, _ = processes[0].communicate(timeout=LIMIT)
        codes = [process.wait(LIMIT) for process in processes]
    finally:
        for process in processes:
            process.kill()
    if any(codes):
        raise SystemExit("the measurement failed")
    found: dict[str, Any] = json.loads(printed)
    return found


def median(found: dict[str, Any], kind: str, column: int = 0) -> float:
    """Over turns, of the seconds (0), the processor seconds (1) or the bytes (2) of a step."""
    return statistics.median(float(turn[column]) for turn in found[kind])


def overhead(found: dict[str, Any], column: int) -> float:
    """How much longer a step takes than the computation and the exchange, median over turns."""
    turns = zip(found["step"], found["compute"], found["exchange"], strict=True)
    return statistics.median(float(a[column] / (b[column] + c[column]) - 1) for a, b, c in turns)


def words(models: Iterable[str], turns: int, share: float) -> list[str]:
    """What a process is told: to measure each model, in a share of its usual steps."""
    some = [f"{name}={max(1, round(share * STEPS[name]))}" for name in models]
    return ["steps", str(BATCH), str(turns), *some]


def measure_overheads(options: argparse.Namespace) -> Table:
    """A row for each model and number of processes."""
    titles = ("N", "ms a step", "compute", "exchange", "overhead", "in processor time")
    table = Table(f"batch {BATCH}", *titles, "sent / least", box=None)
    models = options.model or ("mlp 4096", "conv small", "conv base")
    for size in options.processes or (1, 2, 4):
        for name, found in launch(size, *words(models, options.turns, 2 / size)).items():
            least = 2 * (size - 1) * found["parameter_bytes"]  # of all processes together
            table.add_row(
                name,
                str(size),
                *(f"{1000 * median(found, kind):.1f}" for kind in ("step", "compute", "exchange")),
                f"{100 * overhead(found, 0):.1f} %",
                f"{100 * overhead(found, 1):.1f} %",
                f"{median(found, 'step', 2) / least:.3f}" if least and not os.geteuid() else "",
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

    def best_number(self, size: int, compute: float) -> int:
        """The processes that do a step soonest, if they share what one computes in `compute`."""
        return min(range(1, 4097), key=lambda n: compute / n + self.exchange(size, n))

    def behind(self, rate: float, delay: float) -> "Network":
        """The same processes with a link between them, of so many bits a second and a delay.

        gloo sends a message when the other process has asked for it, so it takes the delay twice.
        """
        return Network(1 / (1 / self.bandwidth + 8 / rate), self.latency + 2 * delay)


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
    with machines.two_machines() as two:
        sums = launch_on(two, "sums", *map(str, SIZES))
    here = fit({int(size): found for size, found in sums.items()}, 2)
    title = f"w = {here.bandwidth / 1e9:.2f} GB/s, a = {1e6 * here.latency:.0f} µs"
    table = Table(title, "ms a step", "compute", "exchange", "model", "error", box=None)
    models = options.model or ("mlp", "mlp 4096", "conv small")
    for rate, delay in LINKS:
        with machines.two_machines(rate, delay) as two:
            all_found = launch_on(two, *words(models, options.turns, 0.25))
        for name, found in all_found.items():
            exchange = here.behind(rate, delay).exchange(found["parameter_bytes"], 2)
            seconds, compute = median(found, "step"), median(found, "compute")
            table.add_row(
                f"{name}, {rate / 1e6:,.0f} Mbit/s, {1000 * delay:g} ms",
                *(f"{1000 * t:.1f}" for t in (seconds, compute, median(found, "exchange"))),
                f"{1000 * (compute + exchange):.1f}",
                f"{100 * ((compute + exchange) / seconds - 1):+.0f} %",
            )
    return table


def predict(options: argparse.Namespace) -> Table:
    """A row for each model and network, with the computation of one process of this machine."""
    with machines.two_machines() as two:
        sums = launch_on(two, "sums", *map(str, SIZES))
    here = fit({int(size): seconds for size, seconds in sums.items()}, 2)
    networks = {name: (n, Network(w, a)) for name, (n, w, a) in GPUS.items()}
    networks |= {name: (n, here.behind(rate, DELAY)) for name, (n, rate) in CLUSTERS.items()}
    titles = ("exchange, ms", "computation for 90 %, ms", "here, ms", "efficiency", "best N")
    table = Table(f"batch {BATCH} for each process", *titles, box=None)
    models = options.model or distributed_steps.MODELS
    for name, found in launch(1, *words(models, options.turns, 1)).items():
        size, compute = found["parameter_bytes"], median(found, "step")
        for network_name, (processes, network) in networks.items():
            exchange = network.exchange(size, processes)
            is_here = network_name in CLUSTERS  # a GPU computes faster
            table.add_row(
                f"{name}, {size / 1e6:.1f} MB, {network_name}",
                f"{1000 * exchange:.2f}",
                f"{1000 * 9 * exchange:.1f}",
                f"{1000 * compute:.0f}" if is_here else "",
                f"{100 * compute / (compute + exchange):.0f} %" if is_here else "",
                str(network.best_number(size, compute)) if is_here else "",
            )
    return table


ACTIONS = {"overhead": measure_overheads, "links": measure_links, "predict": predict}


def main(report: Callable[..., None]) -> None:
    """Do what a word says, and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=ACTIONS)
    parser.add_argument(
        "--model", action="append", choices=distributed_steps.MODELS, help="repeat for several"
    )
    parser.add_argument("--processes", type=int, action="append", help="default 1, 2 and 4")
    parser.add_argument("--turns", type=int, default=7, help="default 7")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no namespace stays
    report(f"torch {torch.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    report(ACTIONS[options.what](options))
    report(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(Console(soft_wrap=True, highlight=False).print)
