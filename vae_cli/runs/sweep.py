"""The runs of a sweep: one after another in one process, on data that are loaded once.

The runs have names that their settings decide, so the same sweep finds them again after a kill:
finished runs are left as they are, and a stopped one goes on from its last save. Several processes
may work on the same sweep, because a run that is being trained is left to its process.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from vae_cli.data.dataset import Dataset, Progress, ignore_progress
from vae_cli.data.statistics import digest_splits
from vae_cli.device import resolve_device
from vae_cli.errors import UsageError, mark
from vae_cli.runs.directory import ROOT, Run, create_run, require_run_name
from vae_cli.runs.loading import read_facts
from vae_cli.runs.lookup import find_run
from vae_cli.runs.resolve import make_plan, resolve, take_parts
from vae_cli.runs.start import load_for_resume
from vae_cli.runs.summary import State, read_settings, read_state
from vae_cli.runs.train import never_stopped, train_run
from vae_cli.settings import DataConfig, Plan, Variant, read_config, to_dict
from vae_cli.training.precision import require_supported

# Results do not depend on these; the digest of the data tells about the last one.
MAY_DIFFER = {
    *("training.device", "training.precision", "training.save_every"),
    *("training.processes", "training.accumulate", "data.rules"),
}
OTHER_NAME = f"rename that run, or choose another {mark('name')}"

LOCK_SECONDS = 2.0  # between the creation of a run and its lock, on a busy machine
Outcome = Literal["finished", "running", "trained"]


class SharedData:
    """The data set that was asked for last, which is kept until another is asked for."""

    def __init__(self) -> None:
        self.dataset: Dataset | None = None
        self.config: DataConfig | None = None
        self.digests: dict[DataConfig, str] = {}

    def open(self, config: DataConfig, progress: Progress = ignore_progress) -> Dataset:
        """The data set of some settings, whose items are read once.

        Raises:
            UsageError: there are no such data, or they cannot be used.
            VAEError: a download fails, or the cache cannot be written.
        """
        if self.dataset is None or config != self.config:
            self.dataset = config.open(progress)
            _ = self.dataset.stamp  # of the files before they are read
            self.config = config
        return self.dataset

    def digest(self, config: DataConfig) -> str:
        """The digest of the contents of the data set that is open, as checkpoints have it.

        Args:
            config: its settings, with all choices made.
        """
        if config not in self.digests and self.dataset is not None:
            train, held_out, _ = take_parts(self.dataset, config)
            self.digests[config] = digest_splits(train, held_out)
        return self.digests[config]


def require_variants(
    variants: Sequence[Variant],
    data: SharedData,
    progress: Progress = ignore_progress,
    root: Path = ROOT,
) -> list[torch.device]:
    """Check every run of a sweep before the first one starts.

    Args:
        variants: the runs.
        data: opens their data.
        progress: called with the number of pictures decoded so far and the total.
        root: the folder of the runs.

    Returns:
        The device of each run.

    Raises:
        UsageError: a name is not possible or belongs to a run with other settings or other data,
            the data cannot be used, or the settings do not fit the data or the device.
        VAEError: a download fails, the cache cannot be written, or a checkpoint is damaged.
    """
    names = [variant.config.training.device for variant in variants]
    devices = {name: resolve_device(name) for name in dict.fromkeys(names)}
    for variant, name in zip(variants, names, strict=True):
        require_run_name(variant.name)
        require_supported(variant.config.training.precision, devices[name])
        run, dataset = Run(root / variant.name), data.open(variant.config.data, progress)
        if run.exists:
            dataset.test()  # after which a range that is measured is known
        require_same_run(run, make_plan(variant.config, dataset.spec)[0], data)
    return [devices[name] for name in names]


def require_same_run(run: Run, config: Plan, data: SharedData) -> None:
    """Check that a run, if it exists, is the one that would be trained now.

    Its checkpoint tells, which has a digest of itself. A `config.toml` that says something else is
    damaged, and is written anew. Before the first save, there is only that file.

    Raises:
        UsageError: it has other settings or other data.
        VAEError: its checkpoint is damaged.
    """
    facts = read_facts(run)
    found = to_settings(facts.config) if facts else read_own_settings(run)
    for key, value in to_settings(config).items():
        if key not in MAY_DIFFER and found.get(key, value) != value:
            raise UsageError(
                f"run {run.name} exists with other settings: {key} is {found[key]}, "
                f"not {value}: {OTHER_NAME}"
            )
    if facts and facts.data_digest not in {"", data.digest(config.data)}:
        raise UsageError(
            f"run {run.name} exists with other data: the contents of {facts.data.name} have "
            f"changed since: {OTHER_NAME}"
        )
    written = read_settings(run)
    if facts and any(written.get(key) != found[key] for key in found.keys() - MAY_DIFFER):
        run.write_config(facts.config)
        warnings.warn(
            f"{run.config_file} did not say how the run was trained: written anew from its "
            "checkpoint",
            stacklevel=2,
        )


def to_settings(config: Plan) -> dict[str, Any]:
    """The settings that have an effect, by key, as `read_settings` gives them."""
    return {
        f"{section}.{name}": tuple(value) if isinstance(value, list) else value
        for section, table in to_dict(config).items()
        for name, value in table.items()
    }


def read_own_settings(run: Run) -> dict[str, Any]:
    """The settings that `config.toml` has, by key; those that a torn file lacks are left out."""
    try:
        tables = read_config(run.config_file)
    except UsageError:
        return {}
    own = {f"{section}.{name}" for section, table in tables.items() for name in table}
    return {key: value for key, value in read_settings(run).items() if key in own}


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
    resolved = resolve(config, device, dataset=dataset, like=saved.facts.data if saved else None)
    try:
        if saved is None and run.exists:
            run.write_config(resolved.config)  # nothing was learned, and the file may be torn
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
