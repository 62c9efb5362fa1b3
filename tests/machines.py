"""Two network namespaces of this computer, which stand for two machines with a link between them.

Processes in two namespaces reach each other only through the link. Its rate is held by token
buckets at both ends (`tc tbf`). A delay is made by hand, because many kernels lack `netem`: packets
pass through this process, which keeps each of them for a while. They are large, so that Python is
fast enough.

    with two_machines(rate=1e9, delay=0.5e-3) as (first, second):
        subprocess.Popen(first.command("hostname"))

This needs root, `ip` and `tc`.
"""

import fcntl
import os
import select
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import final

MTU = 60_000  # bytes of a packet
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h


@final
@dataclass(frozen=True)
class Machine:
    """A namespace.

    Attributes:
        name: of the namespace, and of its end of the link.
        address: on the link.
    """

    name: str
    address: str

    def command(self, *words: str) -> list[str]:
        """A command line that does another one in this namespace."""
        return ["ip", "netns", "exec", self.name, *words]

    def cut(self) -> None:
        """Take away the link."""
        do("ip", "-n", self.name, "link", "set", self.name, "down")


def do(*words: str) -> None:
    """Do a command.

    Raises:
        OSError: it cannot be done; the message is what it said.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")


def why_impossible() -> str:
    """Why there can be no two machines; an empty text if there can."""
    try:
        with two_machines():
            return ""
    except OSError as error:
        return str(error)


@contextmanager
def two_machines(rate: float = 0.0, delay: float = 0.0) -> Iterator[tuple[Machine, Machine]]:
    """Two namespaces with a link.

    Args:
        rate: bits a second in each direction; 0 is no limit.
        delay: seconds in each direction.
    """
    machines = tuple(
        Machine(f"vae{os.getpid()}{side}", f"10.77.0.{number}")
        for number, side in enumerate("ab", start=1)
    )
    with ExitStack() as stack:
        for machine in machines:
            do("ip", "netns", "add", machine.name)
            stack.callback(do, "ip", "netns", "del", machine.name)
        first, second = machines
        if delay:
            stack.enter_context(delayed(first, second, delay))
        else:
            do("ip", "link", "add", first.name, "type", "veth", "peer", "name", second.name)
        for machine in machines:
            set_up(machine, rate)
        yield first, second


def set_up(machine: Machine, rate: float) -> None:
    """Give a namespace its end of the link."""
    name, own = machine.name, ("ip", "-n", machine.name)
    do("ip", "link", "set", name, "netns", name)
    do(*own, "addr", "add", f"{machine.address}/24", "dev", name)
    do(*own, "link", "set", name, "mtu", str(MTU), "up")
    do(*own, "link", "set", "lo", "up")
    if rate:
        burst = max(MTU + 5000, round(rate / 8 / 1000))  # bytes; what passes in a millisecond
        limits = ("rate", f"{rate:.0f}bit", "burst", str(burst), "limit", str(2**23))
        do("tc", "-n", name, "qdisc", "add", "dev", name, "root", "tbf", *limits)


@contextmanager
def delayed(first: Machine, second: Machine, delay: float) -> Iterator[None]:
    """Two ends of a link, between which a thread keeps each packet for some seconds."""
    ends, ended = [open_end(machine.name) for machine in (first, second)], threading.Event()
    thread = threading.Thread(target=forward, args=(*ends, delay, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for end in ends:
            os.close(end)


def open_end(name: str) -> int:
    """A file of a new interface: what is sent there is read here, and what is written arrives."""
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return end


def forward(first: int, second: int, delay: float, ended: threading.Event) -> None:
    """Write what is read at one end to the other, some seconds later."""
    other, waiting = {first: second, second: first}, deque[tuple[float, int, bytes]]()
    while not ended.is_set():
        pause = waiting[0][0] - time.monotonic() if waiting else 0.1
        for end in select.select([first, second], [], [], max(0.0, pause))[0]:
            waiting.append((time.monotonic() + delay, other[end], os.read(end, 2**16)))
        while waiting and waiting[0][0] <= time.monotonic():
            _, end, packet = waiting.popleft()
            try:
                os.write(end, packet)
            except OSError:  # the other end is down: the packet is lost, as on a real link
                continue
