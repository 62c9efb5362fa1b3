"""Pictures that the system cannot deliver now: left out with a warning, and tried again."""

import errno
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from vae_cli.data import folder_files, picture_files
from vae_cli.data.dataset import ignore_progress
from vae_cli.data.folder import PictureFolder
from vae_cli.data.folder_files import scan_pictures
from vae_cli.errors import UsageError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make_pictures(path: Path, count: int) -> Path:
    path.mkdir(parents=True)
    for number in range(count):
        Image.new("L", (20, 20), 255 - number).save(path / f"{number:02}.png")
    return path


def read(path: Path) -> tuple[list[str], list[str]]:
    """The names of the pictures that are used, and the warnings."""
    dataset = PictureFolder(path, test_fraction=0.5, progress=ignore_progress)
    with warnings.catch_warnings(record=True, action="always") as caught:
        parts = dataset.train(), dataset.test()
    names = [name for part in parts for name in dataset.names(part)]
    return sorted(names), [str(warning.message) for warning in caught]


@pytest.fixture
def break_reading(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[set[str], int], None]]:
    """Let the system refuse to read the files with some names, until it is called with none."""
    real, names, numbers = picture_files.read_file, set[str](), [0]

    def read_file(path: Path, limit: int) -> bytes:
        if path.name in names:
            raise OSError(numbers[0], os.strerror(numbers[0]), str(path))
        return real(path, limit)

    def break_them(broken: set[str], number: int = 0) -> None:
        names.clear()
        names.update(broken)
        numbers[0] = number

    monkeypatch.setattr(picture_files, "read_file", read_file)
    return break_them


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE, errno.EMFILE])
def test_a_picture_that_could_not_be_read_is_there_at_the_next_start(
    tmp_path: Path, cache: Path, break_reading: Callable[..., None], number: int
) -> None:
    make_pictures(tmp_path / "all", 6)
    break_reading({"01.png", "04.png"}, number)
    names, (warning,) = read(tmp_path / "all")
    assert names == ["00.png", "02.png", "03.png", "05.png"]
    assert "2 of 6 pictures cannot be read and are left out" in warning
    assert "the next start tries 2 of them again" in warning
    (log,) = cache.glob("*.log")
    assert os.strerror(number) in log.read_text()
    break_reading({f"{number:02}.png" for number in (0, 1, 2, 3, 5)}, number)
    names, (warning,) = read(tmp_path / "all")
    assert names == ["00.png", "02.png", "03.png", "04.png", "05.png"], "only two are read again"
    assert "1 of 6 pictures cannot be read and is left out" in warning
    break_reading(set())
    names, warned = read(tmp_path / "all")
    assert len(names) == 6
    assert not warned
    assert not list(cache.glob("*.partial.*"))


def test_damaged_contents_are_remembered_and_not_decoded_again(
    tmp_path: Path, cache: Path, break_reading: Callable[..., None]
) -> None:
    make_pictures(tmp_path / "all", 6)
    (tmp_path / "all/03.png").write_bytes(b"no picture")
    for _ in range(2):
        names, (warning,) = read(tmp_path / "all")
        assert "03.png" not in names
        assert "1 of 6 pictures cannot be read" in warning
        assert "next start" not in warning
        break_reading({path.name for path in (tmp_path / "all").iterdir()}, errno.EIO)
    assert len(list(cache.glob("*.npy"))) == 1


def test_a_picture_that_disappears_while_the_others_are_decoded_is_left_out(
    tmp_path: Path,
) -> None:
    make_pictures(tmp_path / "all", 12)
    dataset = PictureFolder(tmp_path / "all", test_fraction=0.5, progress=ignore_progress)
    (tmp_path / "all/02.png").unlink()
    with pytest.warns(UserWarning, match="1 of 12 pictures cannot be read"):
        assert len(dataset.train()) + len(dataset.test()) == 11
    names, warned = read(tmp_path / "all")
    assert len(names) == 11
    assert not warned


@pytest.fixture
def refuse_listing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Let the system refuse to list a folder."""

    def refuse(name: str, number: int) -> None:
        real = os.scandir

        def scandir(path: str) -> object:
            if Path(path).name == name:
                raise OSError(number, os.strerror(number), str(path))
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)

    return refuse


def test_an_unreadable_sub_folder_is_counted_and_named(
    tmp_path: Path, refuse_listing: Callable[[str, int], None]
) -> None:
    for name in ("a", "b", "a/locked"):
        make_pictures(tmp_path / "all" / name, 4)
    refuse_listing("locked", errno.EACCES)
    names, (warning,) = read(tmp_path / "all")
    assert len(names) == 8
    assert f"1 path in {tmp_path}/all cannot be read" in warning
    assert warning.endswith("left out: a/locked (Permission denied)")


def test_a_folder_that_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, refuse_listing: Callable[[str, int], None]
) -> None:
    make_pictures(tmp_path / "all", 4)
    refuse_listing("all", errno.EIO)
    with pytest.raises(UsageError, match=r"cannot read .*all: Input/output error"):
        scan_pictures(tmp_path / "all")


def test_pictures_whose_facts_are_refused_and_broken_links_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pictures(tmp_path / "all", 2)
    for number in range(7):
        (tmp_path / "all" / f"gone-{number}.png").symlink_to("nowhere.png")
    files, (warning,) = scan_pictures(tmp_path / "all")
    assert [file.name for file in files] == ["00.png", "01.png"]
    assert f"7 paths in {tmp_path}/all cannot be read" in warning
    assert "gone-4.png (No such file or directory), 2 more" in warning
    assert folder_files.MAX_NAMED == 5


def test_a_folder_with_broken_links_only_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("nowhere.png")
    with pytest.raises(UsageError, match=r"no pictures in .*: looked for .*; 1 path in .* a\.png"):
        scan_pictures(tmp_path)
