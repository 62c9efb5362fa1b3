"""What must stay: links of all kinds lead to it, and folders of pictures take no new ones."""

import os
from pathlib import Path

import pytest

from vae_cli.runs.outputs import OutputFile, adopt_data, explain_refusal, is_output


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data with a file, two links to files elsewhere, and a link to a folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a/0.png", "linked.png", "hard.png", "else/deep/b.png", "mine.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    Path("photos/a/1.png").symlink_to(tmp_path / "linked.png")
    os.link("hard.png", "photos/2.png")
    Path("photos/else").symlink_to(tmp_path / "else")
    Path("photos/else/loop").symlink_to(tmp_path / "photos")
    for folder in ("photos", "photos/a"):
        Path(folder, "nowhere.png").symlink_to("nowhere.png")
    Path("view").symlink_to("photos")
    return tmp_path


@pytest.mark.parametrize("folder", ["photos", "view", "./photos/"])
def test_no_file_of_a_folder_is_replaced_by_whatever_name(photos: Path, folder: str) -> None:
    sources = {folder: "the data"}
    for name in ("linked.png", "hard.png", "else/deep/b.png"):
        assert explain_refusal(Path(name), sources) == "would overwrite the data", name
    for name in ("photos/a/0.png", "view/new.jpg", "photos/new/c.tiff"):
        assert explain_refusal(Path(name), sources).startswith("would lie among the pictures of")
    for name in ("mine.png", "new.png", "photos/new.csv"):
        assert explain_refusal(Path(name), sources) == "", name


def test_a_table_among_the_pictures_is_replaced_only_if_vae_wrote_it(photos: Path) -> None:
    path, sources = Path("photos/z.csv"), {"photos": "the data"}
    path.write_text("mine")
    assert explain_refusal(path, sources) == "would overwrite the data"
    with OutputFile(path, lambda: path).open() as file:
        file.write(b"1\n")
    assert is_output(path)
    assert explain_refusal(path, sources) == ""
    path.write_text("2\n")
    assert not is_output(path)


def test_what_a_run_learns_is_the_users(photos: Path) -> None:
    paths = [Path(name) for name in ("photos/a/0.png", "linked.png", "else/deep/b.png", "mine.png")]
    for path in paths:
        with OutputFile(path, lambda path=path: path).open() as file:
            file.write(b"1")
    adopt_data("view")
    assert [path for path in paths if is_output(path)] == [Path("mine.png")]
    adopt_data("mine.png")
    assert not is_output(Path("mine.png"))


def test_a_file_whose_capitals_the_file_system_ignores_is_the_same(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = os.stat

    def ignoring(path: object, *arguments: object, **options: object) -> os.stat_result:
        name = os.fsdecode(path).lower() if isinstance(path, (str, Path)) else path
        return stat(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", ignoring)
    assert explain_refusal(Path("MINE.png"), {"mine.png": "what is read"})
    assert explain_refusal(Path("new.png"), {"mine.png": "what is read"}) == ""
