"""Overwriting keeps what a file is: its permissions, its links; and only files are overwritten."""

import csv
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from support import SPECIAL_FILES, Refused, Use

from vae_cli.api.embeddings import Embedding, write_embedding
from vae_cli.data.columns import Column, number_columns
from vae_cli.data.table_files import read_table
from vae_cli.data.table_writing import write_table
from vae_cli.errors import UsageError, VAEError
from vae_cli.files import (
    escape_formula,
    require_file_or_folder,
    unescape_formula,
    write_bytes,
    write_csv,
)


def names_of(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o664, 0o444])
def test_overwriting_keeps_the_permissions(tmp_path: Path, permissions: int) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")
    path.chmod(permissions)
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode(path) == permissions


@pytest.mark.parametrize(("mask", "permissions"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_has_the_permissions_that_the_user_chose(
    tmp_path: Path, mask: int, permissions: int
) -> None:
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "x.csv", b"new")
    finally:
        os.umask(before)
    assert mode(tmp_path / "x.csv") == permissions


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target, link, outer = (tmp_path / name for name in ("there/x.csv", "link.csv", "outer.csv"))
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to("there/x.csv")
    outer.symlink_to("link.csv")
    write_bytes(outer, b"new")
    assert [path.is_symlink() for path in (target, link, outer)] == [False, True, True]
    assert target.read_bytes() == b"new"
    assert mode(target) == 0o600
    assert names(tmp_path) == ["link.csv", "outer.csv", "there"]
    assert names(target.parent) == ["x.csv"]


def test_a_link_to_a_missing_file_creates_it(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to("new.csv")
    write_bytes(tmp_path / "link.csv", b"new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "new.csv").read_bytes() == b"new"


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").symlink_to("x.csv")
    with pytest.raises(VAEError, match=r"cannot write .*x.csv: "):
        write_bytes(tmp_path / "x.csv", b"new")
    assert names(tmp_path) == ["x.csv"]


@pytest.mark.parametrize("make", SPECIAL_FILES)
def test_a_pipe_a_socket_or_a_device_is_neither_written_nor_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    path = Path("x.csv")
    make(path)
    before = path.lstat()
    with pytest.raises(VAEError, match=r"cannot write x.csv: it is a pipe, a socket or a device"):
        write_bytes(path, b"new")
    with pytest.raises(UsageError, match=r"x.csv is a pipe, a socket or a device"):
        require_file_or_folder(path)
    assert path.lstat() == before
    assert names(tmp_path) == ["x.csv"]


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "-o", "x.png"),
        ("reconstruct", "-o", "x.png"),
        ("traverse", "-o", "x.png"),
        ("interpolate", "-o", "x.png"),
        ("data", "-o", "x.png"),
        ("embed", "-o", "x.npz"),
        ("embed", "--plot", "x.png"),
        ("explore", "--export", "x.html"),
    ],
    ids=" ".join,
)
def test_every_command_refuses_a_pipe_as_output_before_it_computes(
    tmp_path: Path, refused: Refused, words: tuple[str, ...]
) -> None:
    os.mkfifo(tmp_path / words[-1])
    message = refused(*words, code=1)  # there is no run in this folder: nothing was loaded
    assert message == f"cannot write {words[-1]}: it is a pipe, a socket or a device, not a file"


@pytest.mark.parametrize("name", ["x.csv", "x.npy", "x.npz", "x.safetensors", "x.png", "x"])
def test_a_pipe_is_not_read_as_data(here: Path, refused: Refused, name: str) -> None:
    os.mkfifo(here / name)
    message = f"{name} is a pipe, a socket or a device, not a file or a folder"
    assert refused("train", "--data", name) == message
    assert refused("reconstruct", name, "--run", "small") == message
    assert refused("embed", name, "--run", "small") == message


def test_a_link_as_output_stays_a_link(here: Path, use: Use) -> None:
    (here / "there.png").touch(0o600)
    (here / "x.png").symlink_to("there.png")
    use("sample", "-n", 1, "-o", "x.png", "-q", "--force")
    assert (here / "x.png").is_symlink()
    assert (here / "there.png").read_bytes().startswith(b"\x89PNG")
    assert mode(here / "there.png") == 0o600


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")']
HARMLESS = ["", "a", "1=1", "'a", "''=1", " =1", "é"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_a_spreadsheet_would_compute_is_escaped(text: str) -> None:
    assert escape_formula(text) == f"'{text}"
    assert unescape_formula(escape_formula(text)) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_are_unchanged(text: str) -> None:
    assert escape_formula(text) == unescape_formula(text) == text


def test_names_and_classes_in_a_written_table_are_escaped_and_numbers_are_not(
    tmp_path: Path,
) -> None:
    embedding = Embedding(
        names=["=1+1.png", "b.png"],
        features={
            "mean": np.array([[-1.5], [2]], np.float32),
            "log_variance": np.array([[-0.25], [1]], np.float32),
        },
        labels=np.array([0, 1]),
        classes=("@sum", "-2"),
        parts=["train", "test"],
    )
    write_embedding(embedding, tmp_path / "z.csv")
    with (tmp_path / "z.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1] == ["'=1+1.png", "train", "'@sum", "-1.5", "-0.25"]
    assert rows[2] == ["b.png", "test", "-2", "2", "1"], "-2 is a number"


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_column_names_are_escaped_in_the_file_and_read_back_as_they_were(
    tmp_path: Path, suffix: str
) -> None:
    path, columns = tmp_path / f"x{suffix}", ("=A1", "-x", "y")
    write_table(path, number_columns(*columns), [[-1.0, 2.0, -3.0]])
    header, row = path.read_text().splitlines()
    assert not {cell[0] for cell in header.replace("\t", ",").split(",")} & set("=-")
    assert row.startswith("-1")
    assert names_of(read_table(path, version=2).columns) == columns


def test_a_number_that_begins_with_a_minus_is_written_as_a_number(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", ["a"], [[-1.5], ["-2.5"]])
    assert (tmp_path / "x.csv").read_text() == "a\n-1.5\n-2.5\n"
