"""A sweep trains what `vae train` would, and goes on where it stopped."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vae_cli.data.dataset import Dataset
from vae_cli.errors import InterruptedRunError, UsageError
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run, create_run, locked
from vae_cli.runs.resolve import Resolved
from vae_cli.runs.summary import read_metrics
from vae_cli.runs.sweep import SharedData, require_variants, train_variant
from vae_cli.runs.train import train_run
from vae_cli.settings import DataConfig, Variant, merge, to_dict

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
    open_data = DataConfig.open

    def count_and_open(config: DataConfig, *words: Any, **more: Any) -> Dataset:
        opened.append(config)
        return open_data(config, *words, **more)

    monkeypatch.setattr(DataConfig, "open", count_and_open)
    data = SharedData()
    require_variants(variants, data, root=tmp_path)
    datasets = [data.open(variant.config.data) for variant in variants]
    assert len(opened) == 1
    assert datasets[0] is datasets[1]
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
    """Its folder is empty, holds half a file, or holds a config that is torn somewhere."""
    killed = [Variant(f"k-{number}", variants[0].config) for number in range(4)]
    for variant in killed[:2]:
        (tmp_path / variant.name).mkdir()
    (tmp_path / "k-1/.config.toml.x.vae-tmp").write_text("half")
    for variant, lines in zip(killed[2:], (3, 10), strict=True):
        file = create_run(variant.config, variant.name, tmp_path).config_file
        file.write_text("\n".join(file.read_text().splitlines()[:lines]) + "\nbeta =")
    data = SharedData()
    require_variants(killed, data, root=tmp_path)
    for variant in killed:
        dataset = data.open(variant.config.data)
        assert train_variant(variant, dataset, CPU, root=tmp_path) == "trained"
        assert not list((tmp_path / variant.name).glob(".*"))
    require_variants(killed, data, root=tmp_path)


def test_a_torn_config_of_a_finished_run_is_written_anew_from_its_checkpoint(
    variants: list[Variant], tmp_path: Path
) -> None:
    """A file that is torn between two lines is TOML, and what it lacks would be the defaults."""
    data = SharedData()
    train_variant(variants[0], data.open(variants[0].config.data), CPU, root=tmp_path)
    file = Run(tmp_path / variants[0].name).config_file
    whole = file.read_text()
    for torn in (whole[: whole.index("[objective]")], whole[: whole.index("[objective]") + 5], ""):
        file.write_text(torn)
        with pytest.warns(UserWarning, match="written anew from its checkpoint"):
            require_variants(variants, data, root=tmp_path)
        assert file.read_text() == whole
    other = Variant(variants[0].name, variants[1].config)
    with pytest.raises(UsageError, match=r"objective.beta is 0.5, not 2.0: rename that run"):
        require_variants([other], data, root=tmp_path)


def test_a_run_on_data_that_have_changed_since_is_refused(
    variants: list[Variant], tmp_path: Path
) -> None:
    source, tables = tmp_path / "changes.npy", to_dict(variants[0].config)
    tables["data"]["name"] = str(source)
    variant = Variant("s", merge(("", tables)))
    images = np.load(variants[0].config.data.name)
    np.save(source, images)
    train_variant(variant, SharedData().open(variant.config.data), CPU, root=tmp_path)
    require_variants([variant], SharedData(), root=tmp_path)
    images[5, 0, 0] ^= 1
    np.save(source, images)
    with pytest.raises(UsageError, match=r"run s exists with other data: the contents of .* have"):
        require_variants([variant], SharedData(), root=tmp_path)


def test_each_run_is_trained_on_its_own_device(variants: list[Variant], tmp_path: Path) -> None:
    tables = to_dict(variants[0].config)
    tables["training"]["device"] = "mps" if torch.cuda.is_available() else "cuda"
    elsewhere = Variant("elsewhere", merge(("", tables)))
    with pytest.raises(UsageError, match=r"device \w+ is not available"):
        require_variants([variants[0], elsewhere], SharedData(), root=tmp_path)
    assert require_variants(variants, SharedData(), root=tmp_path) == [CPU, CPU]


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
    require_variants([first], SharedData(), root=tmp_path)
    with pytest.raises(UsageError, match=r"run s-2.0 exists .* objective.beta is 0.5, not 2.0"):
        require_variants(variants, SharedData(), root=tmp_path)


def test_every_run_is_checked_before_the_first(
    variants: list[Variant], resolve_small: Callable[..., Resolved], tmp_path: Path
) -> None:
    config = resolve_small().config
    import dataclasses

    wide = dataclasses.replace(
        config, model=dataclasses.replace(config.model, hidden=(65536, 65536))
    )
    with pytest.raises(UsageError, match="GiB to train"):
        require_variants([*variants, Variant("wide", wide)], SharedData(), root=tmp_path)
    with pytest.raises(UsageError, match="name a b"):
        require_variants([Variant("a b", config)], SharedData(), root=tmp_path)
