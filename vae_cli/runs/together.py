"""What the processes of a training tell each other before, between and after its steps.

Process 0 alone has the directory of the run. Before the training, it finds the run or its name,
reads the state to resume, and tells the others with which settings they open their data. These need
no disk in common. What one process alone can decide (which precision was measured as the fastest,
whether patience is over, whether a signal has come) is shared before all of them act on it.

    share_settings       the settings, from process 0
    require_equal_data   all have opened the same items
    share_start          the state to start from, from process 0
    agree                a signal to one of them is a signal to all
    leaving_together     those without a directory wait until process 0 has saved
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from vae_cli.data.dataset import Spec
from vae_cli.errors import NOT_BEGUN, InterruptedRunError, NonFiniteLossError, UsageError
from vae_cli.runs.begin import Begun
from vae_cli.runs.facts import parse_spec
from vae_cli.runs.resolve import Resolved
from vae_cli.settings import Config, merge, to_dict
from vae_cli.training import TrainState, World
from vae_cli.training.world import gather_texts


class Shared(NamedTuple):
    """What all processes need to know before they open their data.

    Attributes:
        config: the settings.
        like: what the items of the run are that goes on; None for a new run.
    """

    config: Config
    like: Spec | None


def share_settings(begun: Begun | None, world: World) -> Shared | None:
    """What process 0 begins with, for all; None if nothing is left to do.

    Args:
        begun: by process 0; None in the others.
        world: the processes that train together.
    """
    own = None
    if begun and not begun.is_finished:
        own = Shared(begun.config, begun.like)
    if world.size == 1:
        return own
    text = world.share("" if own is None else shared_to_json(own))
    return shared_from_json(text) if text else None


def shared_to_json(shared: Shared) -> str:
    """What the others need, as JSON."""
    like = None if shared.like is None else dataclasses.asdict(shared.like)
    return json.dumps({"settings": to_dict(shared.config), "like": like})


def shared_from_json(text: str) -> Shared:
    """What `shared_to_json` was given."""
    found = json.loads(text)
    like = None if found["like"] is None else parse_spec(found["like"])
    return Shared(merge(("process 0", found["settings"])), like)


def require_equal_data(resolved: Resolved, world: World) -> None:
    """Check that all processes have opened the same items, perhaps on different machines.

    Raises:
        UsageError: one has others; the same error in all processes.
    """
    if world.size == 1:
        return
    first, *others = map(json.loads, gather_texts(json.dumps(describe_data(resolved)), world))
    for rank, other in enumerate(others, 1):
        for name, value in first.items():
            if other[name] != value:
                raise UsageError(
                    f"process {rank} has other data: {name} {other[name]}, not {value}: all "
                    "machines need the same files"
                )


def describe_data(resolved: Resolved) -> dict[str, str]:
    """What must be equal in all processes. The last one tells all, and the others tell more."""
    spec = resolved.spec
    return {
        "items of": "x".join(map(str, spec.shape)),
        "items to train on:": f"{len(resolved.train):,}",
        "items held out:": f"{len(resolved.test):,}",
        "contents with SHA-256": resolved.data_digest,
    }


def share_start(state: TrainState, world: World) -> None:
    """Let all processes start from the state of the first one."""
    tensors = state.tensors()
    world.copy(list(tensors.values()))
    position: dict[str, int] = json.loads(world.share(json.dumps(state.position())))
    state.restore(tensors, position)
    state.totals.leave_to_first(world)


def agree(signal: int | None, world: World) -> int | None:
    """The signal that one of the processes got, so that all of them stop between the same steps."""
    return world.largest(signal or 0) or None


def require_no_signal(stopped: Callable[[], int | None], world: World) -> None:
    """Stop all processes before the first step if one of them got a signal.

    Raises:
        InterruptedRunError: one has.
    """
    if signal := agree(stopped(), world):
        raise InterruptedRunError(NOT_BEGUN, signal)


@contextmanager
def leaving_together(world: World) -> Iterator[None]:
    """A context in which all processes stop for a reason on which they have agreed.

    Process 0 saves before it raises the error, and the others wait here for it. If they ended at
    once, their launcher would end process 0 too, and would kill it after half a minute.
    """
    try:
        yield
    except (InterruptedRunError, NonFiniteLossError):
        world.any(False)
        raise
