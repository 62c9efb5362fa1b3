"""Files are written completely or not at all."""

import csv
import errno
import os
from pathlib import Path

import pytest

from vae_cli.errors import UsageError, VAEError
from vae_cli.files import (
    exists,
    is_folder,
    is_same_file,
    open_atomically,
    open_file,
    read_file,
    remove_leftovers,
    write_bytes,
    write_csv,
)


def test_a_file_is_written_into_a_folder_that_is_created(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.bin"
    write_bytes(path, b"\0new\n")
    assert path.read_bytes() == b"\0new\n"
    assert list(path.parent.iterdir()) == [path], "no temporary file stays"


@pytest.mark.parametrize("failing", ["fsync", "replace", "open"])
def test_a_failed_write_leaves_the_old_file_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path if failing == "replace" else os, failing, fail)
    with pytest.raises(VAEError, match=r"a\.png: No space left on device"):
        write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path], "no temporary file stays"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_while_a_file_is_written_leaves_the_old_file_unchanged(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def write_half() -> None:
        with open_atomically(path) as file:
            file.write(b"half of the new content")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path], "no temporary file stays"


@pytest.mark.parametrize("name", ["file/a.png", "file/folder/a.png"])
def test_a_file_in_place_of_the_folder_is_named_in_the_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(VAEError, match=r"cannot write .*a\.png: .*file.* is not a folder"):
        write_bytes(tmp_path / name, b"")


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(VAEError, match=r"cannot write .*a\.png: "):
        write_bytes(tmp_path / "a.png", b"")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"], "no temporary file stays"


def test_the_longest_possible_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".png")
    write_bytes(path, b"content")
    assert path.read_bytes() == b"content"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask_and_the_umask_is_not_changed(
    tmp_path: Path, mask: int, mode: int
) -> None:
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "a.png", b"")
    finally:
        after = os.umask(before)
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == mode
    assert after == mask


def test_leftovers_of_killed_writes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    other = tmp_path / ".hidden"
    other.touch()
    with open_atomically(tmp_path / "a.png") as file:
        (leftover,) = tmp_path.glob(".a.png.*")
        content = leftover.read_bytes()
        file.write(b"new")
    leftover.write_bytes(content)  # as if the process had been killed in between
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == [other, tmp_path / "a.png"]


@pytest.mark.parametrize("name", ["n" * 5000, "a\0b", ""])
def test_a_name_that_no_file_can_have_does_not_exist_and_is_no_error(name: str) -> None:
    assert not exists(name)
    assert not is_folder(name)


def test_two_paths_to_one_place_are_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    assert is_same_file(tmp_path / "a.png", "link/a.png")
    assert is_same_file(Path("a.png"), tmp_path / "link" / ".." / tmp_path.name / "a.png")
    assert not is_same_file(tmp_path / "a.png", "b.png")


CELLS = ["plain", "a, b", 'say "hi"', "two\nlines", "carriage\rreturn", "both\r\n", "", "\r", "ü"]


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_written_table_has_the_same_cells_when_it_is_read(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "t.csv"
    write_csv(path, ["cell", "tab\tin it"], ([cell, cell] for cell in CELLS), delimiter)
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file, delimiter=delimiter, strict=True)
    assert header == ["cell", "tab\tin it"]
    assert rows == [[cell, cell] for cell in CELLS]


def test_a_cell_with_a_carriage_return_is_quoted(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["name"], [["a\rb"], ["plain"], ["\r"]])
    assert (tmp_path / "t.csv").read_bytes() == b'name\n"a\rb"\nplain\n"\r"\n'


def test_a_table_has_unix_line_ends_and_is_written_row_by_row(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_csv(tmp_path / "t.csv", ["x"], ([1 // n] for n in (1, 0)))
    assert not list(tmp_path.iterdir()), "a table that fails half-way leaves no file"
    write_csv(tmp_path / "t.csv", ["x", "y"], [[1, 2.5]])
    assert (tmp_path / "t.csv").read_bytes() == b"x,y\n1,2.5\n"


def test_a_pipe_that_takes_the_place_of_a_file_before_it_is_opened_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr("vae_cli.files.require_file_or_folder", lambda path: None)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208
    with pytest.raises(UsageError, match="is a pipe"):
        open_file(tmp_path / "pipe")
    if before:
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_folder_and_a_missing_file_are_errors_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "none")


@pytest.mark.parametrize(("limit", "shown"), [(3, "3 bytes"), (2048, "2 KiB"), (2**20, "1 MiB")])
def test_a_file_is_read_up_to_a_limit(tmp_path: Path, limit: int, shown: str) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(limit))
    assert read_file(path, limit) == bytes(limit)
    path.write_bytes(bytes(limit + 1))
    with pytest.raises(UsageError, match=f"a.bin is larger than {shown}"):
        read_file(path, limit)
