"""The threads of the processor: whether they can be started, and how they wait for each other.

torch divides an operation among threads of OpenMP. A thread that has finished its part asks for
some milliseconds again and again whether the others have, before it sleeps: it spins. That is the
fastest as long as every thread has a core of its own. If other programs use the cores too, threads
that spin keep them from threads that have work to do, and a training takes many times its share.

GNU's OpenMP hardly spins while it manages more threads than there are cores. So when the cores are
shared, a few threads more are started here, which sleep. As many threads compute as before, and
every result stays the same, bit for bit. Seconds of an epoch on two cores: one training alone takes
0.36, and 0.59 if its threads always sleep; the slowest of three at once takes 1.29, its fair share
is 1.12, and threads that always spin take three to four times theirs (docs/speed.md).
"""

import atexit
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from vae_cli.errors import VAEError

OWN_SETTINGS = ("OMP_", "GOMP_")  # who sets such a variable decides how threads wait
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # of the threads of torch and of numpy
GRADIENT_THREADS = 8  # that torch may start for gradients, besides those that compute
GRAIN = 2**16  # values for each thread, so that torch divides an operation among all of them

TASKS = Path("/proc/self/task")  # of Linux: the threads of this process
CORE_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds in a period, or "max"
INTERVAL = 0.25  # seconds between two looks at the cores
SHARED, FREE = 0.2, 0.05  # part of the time in which a thread waits for a core
CALM = 8  # looks at free cores, one after another, before threads spin again


def can_start(count: int) -> bool:
    """Whether this process may have so many threads more at the same time."""
    end, started = threading.Event(), []
    try:
        for _ in range(count):
            thread = threading.Thread(target=end.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError:
        return False
    finally:
        end.set()
        for thread in started:
            thread.join()
    return True


def spare_threads() -> None:
    """Tell numpy and torch, before they are imported, to start no threads if there may be none.

    Otherwise they end the process, or interrupt it, with messages of their own.
    """
    if not can_start(os.cpu_count() or 1):
        for name in LIMITS:
            os.environ[name] = "1"


def require_threads(computing: int) -> None:
    """Check that torch can start its threads; it ends the process if it cannot.

    Args:
        computing: the number of threads that compute.

    Raises:
        VAEError: it cannot.
    """
    count = computing + GRADIENT_THREADS
    if not can_start(count):
        raise VAEError(
            f"this process may not start the {count} threads that torch needs: raise the limit of "
            "processes (ulimit -u, or that of the container), or of memory (ulimit -v)"
        )


def read_delays(main: int) -> dict[int, int]:
    """How long each thread that computes has waited for a core until now, in nanoseconds.

    The other threads of Python are left out: they decode pictures, or draw a bar.

    Args:
        main: the id of the thread of Python that computes.

    Returns:
        The delays by the ids of the threads; empty if the system does not tell.
    """
    others = {thread.native_id for thread in threading.enumerate()} - {main}
    delays = {}
    for task in TASKS.iterdir() if TASKS.is_dir() else ():
        try:
            if int(task.name) not in others:
                delays[int(task.name)] = int((task / "schedstat").read_text().split()[1])
        except (OSError, IndexError):  # the thread has just ended
            continue
    return delays


def count_cores() -> int:
    """The cores that this process may use."""
    is_known = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if is_known else os.cpu_count() or 1


@contextmanager
def all_cores(processes: int) -> Iterator[None]:
    """Compute with the threads of several processes, while the others wait for this one.

    Args:
        processes: on this machine, each of which has as many threads as this one.
    """
    import torch  # it is imported already

    own, said = torch.get_num_threads(), os.environ.get(LIMITS[0])
    count = max(own, min(own * processes, count_usable_cores()))
    torch.set_num_threads(count)
    os.environ[LIMITS[0]] = str(count)  # pyarrow reads it when it is imported
    try:
        yield
    finally:
        torch.set_num_threads(own)
        if said is None:
            del os.environ[LIMITS[0]]
        else:
            os.environ[LIMITS[0]] = said


def count_usable_cores(limit: Path = CORE_LIMIT) -> int:
    """The cores of which this process may use all the time: a container may have a smaller part."""
    try:
        quota, period = map(int, limit.read_text().split())
    except (OSError, ValueError):  # there is no limit
        return count_cores()
    return max(1, min(count_cores(), quota // period))


def share_cores(parts: int) -> None:
    """Let this process compute on one of several parts of the cores.

    Whoever has set OMP_NUM_THREADS has decided it. `torchrun` sets it to 1, unless it is set.
    """
    import torch  # so that a command that computes nothing does not load it

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, count_usable_cores() // parts))


@final
class SleepingThreads:
    """Threads of OpenMP that sleep: with those that compute, they are more than the cores."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.teams: list[threading.Thread] = []

    def start(self) -> None:
        """Start them, if the system allows so many threads."""
        import torch  # it is imported already

        computing, cores = torch.get_num_threads(), count_cores()
        count = 0 if computing == 1 else max(cores - computing, 0) // (computing - 1) + 1
        self.end.clear()
        if can_start(count * computing):
            self.teams = [threading.Thread(target=self._sleep, daemon=True) for _ in range(count)]
        for team in self.teams:
            team.start()

    def stop(self) -> None:
        """End them."""
        self.end.set()
        for team in self.teams:
            team.join()
        self.teams = []

    def _sleep(self) -> None:
        import torch

        torch.zeros(torch.get_num_threads() * GRAIN).add_(1)  # starts the team of this thread
        self.end.wait()


@final
class CoreWatch:
    """Whether other programs use the cores too.

    Args:
        read: returns the delays of the threads, as `read_delays` does.
        sleeping: is started while the cores are shared.

    Attributes:
        is_shared: whether they do now.
        was_shared: whether they did at some time.
    """

    def __init__(self, read: Callable[[], dict[int, int]], sleeping: SleepingThreads) -> None:
        self.read, self.sleeping = read, sleeping
        self.is_shared = self.was_shared = False
        self.calm, self.before = 0, read()
        self.end = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Look now and then, until the process ends."""
        self.thread.start()
        atexit.register(self.stop)  # a thread must not be in torch when Python ends

    def stop(self) -> None:
        """Look no more."""
        self.end.set()
        self.thread.join()
        self.sleeping.stop()

    def look(self, seconds: float) -> None:
        """Compare the delays with those of the last look, `seconds` ago."""
        now = self.read()
        waited = max((now[task] - self.before.get(task, now[task]) for task in now), default=0)
        self.before = now
        share = waited / (seconds * 1e9)
        self.calm = self.calm + 1 if share < FREE else 0
        if share > SHARED and not self.is_shared:
            self.is_shared = self.was_shared = True
            self.sleeping.start()
        elif self.calm >= CALM and self.is_shared:
            self.is_shared = False
            self.sleeping.stop()

    def _run(self) -> None:
        last = time.monotonic()
        while not self.end.wait(INTERVAL):
            now = time.monotonic()
            self.look(now - last)
            last = now


@functools.cache
def watch_cores() -> CoreWatch | None:
    """Begin to watch the cores for the thread that calls this, once in a process.

    Returns:
        None where it is of no use: there is one thread, the user has decided how threads wait, or
        the system does not tell how long they wait.
    """
    import torch  # so that a command that computes nothing does not load it

    main = threading.get_native_id()
    is_decided = any(name.startswith(OWN_SETTINGS) for name in os.environ)
    if is_decided or torch.get_num_threads() == 1 or not any(read_delays(main).values()):
        return None
    watch = CoreWatch(functools.partial(read_delays, main), SleepingThreads())
    watch.start()
    return watch
