"""Folders of pictures given to commands: some may be unreadable, and their names are paths."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use


@pytest.fixture
def folder(
    here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Four pictures, two of them with the same name, and two that cannot be read."""
    monkeypatch.setenv("VAE_DATA", str(tmp_path_factory.mktemp("cache")))
    for number, name in enumerate(("a/one.png", "a/two.png", "b/one.png", "top.png")):
        path = here / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (28, 28), 40 * number).save(path)
    (here / "in/a/bad.png").write_bytes(b"no picture")
    (here / "in/b/empty.jpg").touch()
    return here / "in"


GOOD = ["a/one.png", "a/two.png", "b/one.png", "top.png"]


def test_reconstruct_leaves_out_unreadable_pictures_and_names_the_others_by_their_path(
    folder: Path, use: Use
) -> None:
    output = use("reconstruct", "in", "--json")
    assert [record["image"] for record in json.loads(output.out)["images"]] == GOOD
    assert output.err.count("cannot be read") == 1
    assert "2 of 6 pictures cannot be read and are left out; the first: in/a/bad.png" in output.err


@pytest.mark.filterwarnings("always::UserWarning")
def test_embed_leaves_out_unreadable_pictures_and_names_the_others_by_their_path(
    folder: Path, use: Use
) -> None:
    output = use("embed", "in")
    assert np.load("embed.npz")["name"].tolist() == GOOD
    assert output.err.count("cannot be read") == 1
    assert "2 of 6 pictures cannot be read and are left out" in output.err


def test_interpolate_leaves_out_unreadable_pictures(folder: Path, use: Use) -> None:
    output = use("interpolate", "in", "--steps", 3, "--scale", 1, "--no-captions")
    assert output.err.count("cannot be read") == 1
    with Image.open("interpolate.png") as picture:
        assert picture.size == (3 * 29 + 1, 3 * 29 + 1)


def test_traverse_starts_from_the_first_picture_that_can_be_read(folder: Path, use: Use) -> None:
    (folder / "a/a-bad.png").write_bytes(b"no picture")
    assert "3 of 7 pictures cannot be read" in use("traverse", "in", "--dim", 0).err


def test_sub_folders_that_cannot_be_read_are_named(folder: Path, use: Use) -> None:
    (folder / "gone.png").symlink_to("nowhere.png")
    err = use("reconstruct", "in").err
    assert "1 path in in cannot be read, and the pictures there are left out: gone.png" in err


@pytest.mark.parametrize("command", ["reconstruct", "interpolate"])
def test_a_picture_that_was_named_must_be_readable(
    folder: Path, refused: Refused, command: str
) -> None:
    message = refused(command, "in", "in/a/bad.png")
    assert message.startswith("in/a/bad.png is not a picture")


@pytest.mark.parametrize("command", ["reconstruct", "interpolate", "embed"])
def test_a_folder_in_which_no_picture_can_be_read_is_refused(
    folder: Path, refused: Refused, command: str
) -> None:
    for name in GOOD:
        (folder / name).write_bytes(b"")
    message = refused(command, "in")
    assert message.startswith("none of the 6 pictures in in can be read; the first: in/a/bad.png")
