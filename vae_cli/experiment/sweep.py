"""The runs of a sweep: one after another in one process, on data that are loaded once.

The runs have names that their settings decide, so the same sweep finds them again after a kill:
finished runs are left as they are, and a stopped one goes on from its last save. Several processes
may work on the same sweep, because a run that is being trained is left to its process.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch

from vae_cli.build import build_dataset
from vae_cli.config import Config, DataConfig, Variant, entries, to_dict
from vae_cli.data.dataset import Dataset, LoadedDataset, Progress, ignore_progress
from vae_cli.errors import UsageError
from vae_cli.experiment.resolve import resolve, settle
from vae_cli.experiment.run import never_stopped, train_run
from vae_cli.runs.directory import ROOT, Run, create_run, require_run_name
from vae_cli.runs.loading import load_for_resume
from vae_cli.runs.lookup import find_run
from vae_cli.runs.summary import State, read_settings, read_state
from vae_cli.training.precision import require_supported

MAY_DIFFER = {"training.device", "training.precision", "training.save_every"}

LOCK_SECONDS = 2.0  # between the creation of a run and its lock, on a busy machine
Outcome = Literal["finished", "running", "trained"]


class SharedData:
    """The data set that was asked for last, which is kept until another is asked for."""

    def __init__(self) -> None:
        self.dataset: Dataset | None = None
        self.config: DataConfig | None = None

    def open(self, config: DataConfig, progress: Progress = ignore_progress) -> Dataset:
        """The data set of some settings, whose items are read once.

        Raises:
            UsageError: there are no such data, or they cannot be used.
            VAEError: a download fails, or the cache cannot be written.
        """
        if self.dataset is None or config != self.config:
            self.dataset = LoadedDataset(build_dataset(config, progress, flag="--data"))
            self.config = config
        return self.dataset


def require_variants(
    variants: Sequence[Variant],
    device: torch.device,
    data: SharedData,
    progress: Progress = ignore_progress,
    root: Path = ROOT,
) -> None:
    """Check every run of a sweep before the first one starts.

    Args:
        variants: the runs.
        device: the device to train on.
        data: opens their data.
        progress: called with the number of pictures decoded so far and the total.
        root: the folder of the runs.

    Raises:
        UsageError: a name is not possible or belongs to a run with other settings, the data cannot
            be used, or the settings do not fit the data or the device.
        VAEError: a download fails, or the cache cannot be written.
    """
    for variant in variants:
        require_run_name(variant.name)
        require_supported(variant.config.training.precision, device)
        settled = settle(variant.config, data.open(variant.config.data, progress).spec)
        require_same_settings(Run(root / variant.name), settled)


def require_same_settings(run: Run, config: Config) -> None:
    """Check that a run, if it exists, has the settings with which it would be trained now.

    Raises:
        UsageError: it has others.
    """
    found, tables = read_settings(run) if run.exists else {}, to_dict(config)
    for entry in entries() if found else ():
        value = tables[entry.section][entry.name]
        wanted = tuple(value) if isinstance(value, list) else value
        if entry.key not in MAY_DIFFER and found[entry.key] != wanted:
            raise UsageError(
                f"run {run.name} exists with other settings: {entry.key} is {found[entry.key]}, "
                f"not {wanted}: rename that run, or choose another name"
            )


def train_variant(
    variant: Variant,
    dataset: Dataset,
    device: torch.device,
    *,
    progress: Progress = ignore_progress,
    stopped: Callable[[], int | None] = never_stopped,
    root: Path = ROOT,
) -> Outcome:
    """Train one run of a sweep, unless it is finished or another process is training it.

    Args:
        variant: the run.
        dataset: its data.
        device: the device to train on.
        progress: called with the number of items trained on since the start, and the number for the
            whole run.
        stopped: returns the number of the signal that asked the training to stop, if there was one.
        root: the folder of the runs.

    Raises:
        InterruptedRunError: there was a signal; the state was saved first.
        VAEError: the training failed, as in `train_run`.
    """
    run = Run(root / variant.name)
    state = read_state(run)
    if state != "stopped":
        return state
    saved, config = load_for_resume(run, []) if run.last.is_file() else (None, variant.config)
    if saved is None and config.training.start:
        require_finished(find_run(config.training.start, root))
    resolved = resolve(config, device, dataset=dataset, is_resumed=saved is not None)
    try:
        run = run if run.exists else create_run(resolved.config, variant.name, root)
        train_run(run, resolved, saved=saved, progress=progress, stopped=stopped)
    except UsageError:
        if (state := await_other_process(run)) == "stopped":
            raise
        return state
    return "trained"


def require_finished(run: Run) -> None:
    """Check that a run may be started from: another process may be training it at this moment.

    Raises:
        UsageError: it is not finished.
    """
    if not run.finished:
        raise UsageError(
            f"run {run.name}, from which it starts, is not finished: wait for the process that "
            f"trains it, or go on with vae train --resume {run.name}"
        )


def await_other_process(run: Run) -> State:
    """The state of a run that could not be created or locked.

    If another process was faster, the run may exist for a moment before it is locked.
    """
    end = time.monotonic() + LOCK_SECONDS
    while (state := read_state(run)) == "stopped" and time.monotonic() < end:
        time.sleep(0.05)
    return state
