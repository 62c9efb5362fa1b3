"""A sweep trains what `vae train` would, and goes on where it stopped."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vae_cli.config import DataConfig, Variant, to_dict
from vae_cli.data.dataset import Dataset, LoadedDataset
from vae_cli.errors import InterruptedRunError, UsageError
from vae_cli.experiment import sweep
from vae_cli.experiment.resolve import Resolved
from vae_cli.experiment.run import train_run
from vae_cli.experiment.sweep import SharedData, require_variants, train_variant
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run, create_run
from vae_cli.runs.lock import locked
from vae_cli.runs.summary import read_metrics

CPU = torch.device("cpu")


@pytest.fixture
def variants(resolve_small: Callable[..., Resolved]) -> list[Variant]:
    """Two runs that differ in beta."""
    configs = [resolve_small(objective={"beta": beta}).config for beta in (0.5, 2.0)]
    return [Variant(f"s-{config.objective.beta}", config) for config in configs]


def test_every_run_is_the_same_bit_for_bit_as_if_it_were_trained_alone(
    variants: list[Variant], resolve_small: Callable[..., Resolved], tmp_path: Path
) -> None:
    data = SharedData()
    for variant in variants:
        dataset = data.open(variant.config.data)
        assert train_variant(variant, dataset, CPU, root=tmp_path) == "trained"
        alone = resolve_small(objective=to_dict(variant.config)["objective"])
        run = create_run(alone.config, f"alone-{variant.name}", tmp_path)
        train_run(run, alone)
        swept = Run(tmp_path / variant.name)
        for name, weight in load_checkpoint(run.last).tensors.items():
            assert torch.equal(weight, load_checkpoint(swept.last).tensors[name]), name


def test_the_data_are_read_once_and_kept_until_other_data_are_asked_for(
    variants: list[Variant], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[DataConfig] = []
    build = sweep.build_dataset

    def count_and_build(config: DataConfig, *words: Any, **more: Any) -> Dataset:
        opened.append(config)
        return build(config, *words, **more)

    monkeypatch.setattr(sweep, "build_dataset", count_and_build)
    data = SharedData()
    require_variants(variants, CPU, data, root=tmp_path)
    datasets = [data.open(variant.config.data) for variant in variants]
    assert len(opened) == 1
    assert datasets[0] is datasets[1]
    assert isinstance(datasets[0], LoadedDataset)
    assert datasets[0].train().items is datasets[0].train().items


def test_a_stopped_run_goes_on_and_a_finished_one_is_left(
    variants: list[Variant], tmp_path: Path
) -> None:
    variant, calls = variants[0], iter([None, None, signal.SIGTERM])
    dataset = SharedData().open(variant.config.data)
    with pytest.raises(InterruptedRunError):
        train_variant(variant, dataset, CPU, stopped=lambda: next(calls), root=tmp_path)
    assert train_variant(variant, dataset, CPU, root=tmp_path) == "trained"
    run = Run(tmp_path / variant.name)
    assert len(read_metrics(run)) == variant.config.training.epochs
    before = run.last.stat().st_mtime_ns
    assert train_variant(variant, dataset, CPU, root=tmp_path) == "finished"
    assert run.last.stat().st_mtime_ns == before


def test_a_run_that_was_killed_before_its_first_save_begins_again(
    variants: list[Variant], tmp_path: Path
) -> None:
    variant = variants[0]
    create_run(variant.config, variant.name, tmp_path)
    dataset = SharedData().open(variant.config.data)
    assert train_variant(variant, dataset, CPU, root=tmp_path) == "trained"


def test_a_run_of_another_process_is_left_to_it(variants: list[Variant], tmp_path: Path) -> None:
    variant = variants[0]
    run = create_run(variant.config, variant.name, tmp_path)
    with locked(run):
        dataset = SharedData().open(variant.config.data)
        assert train_variant(variant, dataset, CPU, root=tmp_path) == "running"


def test_a_run_with_this_name_and_other_settings_is_refused(
    variants: list[Variant], tmp_path: Path
) -> None:
    first, second = variants
    create_run(first.config, second.name, tmp_path)
    require_variants([first], CPU, SharedData(), root=tmp_path)
    with pytest.raises(UsageError, match=r"run s-2.0 exists .* objective.beta is 0.5, not 2.0"):
        require_variants(variants, CPU, SharedData(), root=tmp_path)


def test_every_run_is_checked_before_the_first(
    variants: list[Variant], resolve_small: Callable[..., Resolved], tmp_path: Path
) -> None:
    config = resolve_small().config
    import dataclasses

    wide = dataclasses.replace(
        config, model=dataclasses.replace(config.model, hidden=(65536, 65536))
    )
    with pytest.raises(UsageError, match="GiB to train"):
        require_variants([*variants, Variant("wide", wide)], CPU, SharedData(), root=tmp_path)
    with pytest.raises(UsageError, match="--name a b"):
        require_variants([Variant("a b", config)], CPU, SharedData(), root=tmp_path)
