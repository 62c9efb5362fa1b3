"""What a training begins with: a run that goes on, or the settings of a new one.

`torchrun --max-restarts` starts the same command line again if one of its processes has ended. The
command then goes on with the run that it made before, from its last save, as `--resume` does. Which
run that is, the launcher keeps: nothing in the folder of the runs tells it from another run that
has the same settings, or that was there before.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import final

from vae_cli.data.dataset import Spec
from vae_cli.errors import ImportantWarning
from vae_cli.runs.directory import Run, make_directory, new_run, require_free_name
from vae_cli.runs.lookup import find_stopped
from vae_cli.runs.start import Layers, SavedState, load_for_resume, start_layers
from vae_cli.settings import Config, Plan, merge
from vae_cli.training import World


@final
@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The training that was asked for.

    Attributes:
        layers: the settings that were typed.
        resume: whether a run is to go on.
        name: of that run, or of the new one; None if none was typed.
    """

    layers: Layers
    resume: bool
    name: str | None


@final
@dataclass(frozen=True, kw_only=True)
class Begun:
    """What a training begins with.

    Attributes:
        run: its directory; None if there is none yet.
        saved: its last state; None if there is none yet.
        config: the settings.
    """

    run: Run | None
    saved: SavedState | None
    config: Config

    @property
    def like(self) -> Spec | None:
        """What the items of the run are that goes on; None for a new one."""
        return None if self.saved is None else self.saved.facts.data

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return (
            self.run is not None
            and self.saved is not None
            and self.run.finished
            and self.saved.facts.epoch >= self.config.training.epochs
        )


def begin(wanted: Wanted, world: World) -> Begun:
    """Find what the training begins with, in the process that has the directory of the run.

    Raises:
        UsageError: there is no such run, a setting that may not change was typed, or the name of a
            new run is taken.
        VAEError: a checkpoint is missing or damaged.
    """
    if known := world.recall():
        return begin_again(Run(Path(known)), wanted)
    if wanted.resume:
        run = find_stopped(wanted.name)
        world.remember(str(run.path))
        saved, config = load_for_resume(run, wanted.layers)
        return Begun(run=run, saved=saved, config=config)
    if wanted.name is not None:
        require_free_name(wanted.name)
    return Begun(run=None, saved=None, config=new_settings(wanted.layers))


def begin_again(run: Run, wanted: Wanted) -> Begun:
    """What a training begins with that this launch has begun before.

    A new run has the settings that were typed, and those that `resolve` has chosen for it.

    Raises:
        UsageError: a setting that may not change was typed.
        VAEError: the checkpoint is damaged.
    """
    if not run.last.is_file() and not wanted.resume:
        say(f"a process has ended: run {run.name} starts again, because nothing was saved yet")
        return Begun(run=run, saved=None, config=new_settings(wanted.layers))
    saved, config = load_for_resume(run, wanted.layers if wanted.resume else [])
    epoch = saved.facts.epoch + 1
    say(f"a process has ended: run {run.name} goes on from its last save, in epoch {epoch}")
    return Begun(run=run, saved=saved, config=config)


def say(text: str) -> None:
    """Tell the user what happened without being asked for."""
    warnings.warn(ImportantWarning(text), stacklevel=2)


def new_settings(layers: Layers) -> Config:
    """The settings of a new run, over those of the run that it starts from.

    Raises:
        UsageError: a setting is wrong, or there is no run with the weights to start from.
        VAEError: these weights are missing or damaged.
    """
    config = merge(*layers)
    start = config.training.start
    return merge(*start_layers(start, layers)) if start else config


def make_run(begun: Begun, plan: Plan, name: str | None, world: World) -> Run:
    """The directory of a training that is about to begin, with its settings in it if it is new.

    The launcher is told first, so that a process that is killed in between leaves no directory
    that the next one takes for another run.

    Raises:
        UsageError: the name is taken.
        VAEError: the directory cannot be made.
    """
    if begun.saved is not None and begun.run is not None:
        return begun.run
    run = begun.run or new_run(plan, name)
    world.remember(str(run.path))
    if run.exists:
        run.write_config(plan)  # nothing was learned, and the file may be of other choices
    else:
        make_directory(run, plan)
    return run
