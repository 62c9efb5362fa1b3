"""The directory of a run: its name, and when it counts as finished."""

import re
from pathlib import Path

import pytest

from vae_cli.errors import UsageError, VAEError
from vae_cli.runs import directory
from vae_cli.runs.directory import Run, create_run, locked, require_written_inside
from vae_cli.settings import merge, read_config

CONFIG = merge(("", {"model": {"network": "conv"}}))


def test_a_new_run_has_all_settings_in_its_config_file(tmp_path: Path) -> None:
    run = create_run(CONFIG, "run", tmp_path)
    assert run.path == tmp_path / "run"
    assert run.name == "run"
    assert merge(("", read_config(run.config_file))) == CONFIG
    assert run.exists
    assert not run.finished


@pytest.mark.parametrize(
    ("data", "start"),
    [
        ("fashion-mnist", "fashion-mnist-conv-"),
        ("/photos/My cats.v2/", "My-cats-conv-"),
        ("/tables/wine.csv", "wine-conv-"),
        ("/photos/...", "data-conv-"),
        (f"/{'x' * 90}", f"{'x' * 40}-conv-"),
    ],
)
def test_a_name_is_made_from_data_network_and_time(tmp_path: Path, data: str, start: str) -> None:
    config = merge(("", {"data": {"name": data}, "model": {"network": "conv"}}))
    name = create_run(config, None, tmp_path).name
    assert name.startswith(start)
    assert re.fullmatch(r"\d{8}-\d{6}", name.removeprefix(start))


def test_two_runs_of_the_same_second_have_different_names(tmp_path: Path) -> None:
    names = {create_run(CONFIG, None, tmp_path).name for _ in range(5)}
    assert len(names) == 5


def test_nothing_is_written_through_a_link_that_leads_out_of_the_folder(tmp_path: Path) -> None:
    run, elsewhere = create_run(CONFIG, "run", tmp_path / "runs"), tmp_path / "mine.json"
    elsewhere.write_text("mine")
    (tmp_path / "view").symlink_to(run.path)
    (run.path / "samples.png").symlink_to("reconstructions.png")
    (run.path / "notes.txt").symlink_to(elsewhere)
    for folder in (run.path, tmp_path / "view", tmp_path / "missing"):
        require_written_inside(folder)
    (run.path / "evaluation.json").symlink_to(elsewhere)
    for folder in (run.path, tmp_path / "view"):
        with pytest.raises(VAEError, match=r"evaluation\.json is a link to a file elsewhere"):
            require_written_inside(folder)


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    create_run(CONFIG, "run", tmp_path)
    with pytest.raises(UsageError, match="run exists already: choose another name"):
        create_run(CONFIG, "run", tmp_path)


def test_a_folder_in_which_nothing_was_written_is_taken_and_every_other_is_refused(
    tmp_path: Path,
) -> None:
    """It is what a process leaves that was killed before it wrote the config."""
    for name in ("empty", "half", "full", "locked"):
        (tmp_path / name).mkdir()
    (tmp_path / "half/.config.toml.x.vae-tmp").write_text("half")
    (tmp_path / "full/notes.txt").write_text("mine")
    (tmp_path / "file").touch()
    for name in ("empty", "half"):
        run = create_run(CONFIG, name, tmp_path)
        assert [path.name for path in run.path.iterdir()] == ["config.toml"]
    with locked(Run(tmp_path / "locked")):
        for name in ("full", "file", "locked", "empty"):
            with pytest.raises(UsageError, match=f"{name} exists already"):
                create_run(CONFIG, name, tmp_path)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "../x", "a b", "-x"])
def test_a_name_that_is_not_a_plain_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="use letters, digits, dots and dashes"):
        create_run(CONFIG, name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_too_long_is_refused_for_its_length(tmp_path: Path) -> None:
    for length in (101, 5000):
        with pytest.raises(UsageError, match="a name has up to 100 characters"):
            create_run(CONFIG, "x" * length, tmp_path)
    assert create_run(CONFIG, "x" * 100, tmp_path).exists


def test_a_name_stays_free_if_the_config_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, content: bytes) -> None:
        raise VAEError("the disk is full")

    monkeypatch.setattr(directory, "write_bytes", fail)
    with pytest.raises(VAEError, match="the disk is full"):
        create_run(CONFIG, "run", tmp_path)
    monkeypatch.undo()
    create_run(CONFIG, "run", tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".csv"])
def test_a_run_is_finished_if_it_has_weights_and_samples(tmp_path: Path, suffix: str) -> None:
    run = create_run(CONFIG, "run", tmp_path)
    reconstructions, samples = run.previews(suffix)
    reconstructions.touch()
    samples.touch()
    assert not run.finished
    run.best.touch()
    assert run.finished
    assert run.ended_at == samples.stat().st_mtime
    run.reopen()
    assert not run.finished
    assert run.ended_at == 0


def test_a_discarded_run_leaves_nothing(tmp_path: Path) -> None:
    create_run(CONFIG, "run", tmp_path).discard()
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_files_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "photo.png").touch()
    assert not Run(tmp_path).exists
