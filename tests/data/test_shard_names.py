"""Which files the names of shards mean."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from vae_cli.data.shard_names import LocalFiles, expand_braces, find_shards, short_name
from vae_cli.data.shard_source import name_parts
from vae_cli.data.source import SourceKind, find_source, is_data
from vae_cli.errors import UsageError

FILES = LocalFiles()


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A folder with a set in brackets and a brace in its name, and ten empty shards in it."""
    folder = tmp_path / "[x] {0..1}"
    folder.mkdir()
    for number in range(10):
        (folder / f"photos-{number:03}.tar").touch()
    return folder


def test_braces_are_those_of_bash() -> None:
    known = {
        "x.tar": ["x.tar"],
        "{8..10}": ["8", "9", "10"],
        "{08..10}": ["08", "09", "10"],
        "{2..0}": ["2", "1", "0"],
        "{a,,b}-{0..1}": ["a-0", "a-1", "-0", "-1", "b-0", "b-1"],
        "[{]{0..1}[}]*": ["[{]0[}]*", "[{]1[}]*"],
    }
    for name, names in known.items():
        assert expand_braces(name) == names


def test_a_name_means_its_files_in_every_folder(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shards)
    sizes = {"photos-{000..009}.tar": 10, "photos-00[3-5].tar": 3, "photos-{000,00[12]}.tar": 3}
    for name, count in sizes.items():
        source = find_source(name)
        assert source.kind is SourceKind.SHARDS
        assert len(find_shards(name, FILES)) == count
        absolute = source.absolute_name
        monkeypatch.chdir("/")
        elsewhere = [Path(path).resolve() for path in find_shards(absolute, FILES)]
        assert [path.parent for path in elsewhere] == [shards.resolve()] * count
        assert find_source(absolute).absolute_name == absolute
        assert is_data(absolute)
        monkeypatch.chdir(shards)


def test_a_wrong_name_is_answered_in_one_line(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shards)
    Path("photos-000.parquet").touch()
    Path("x.tar.gz").touch()
    Path("note.txt").touch()
    wrong = {
        "photos-{000..011}.tar": "10 of 12 are there: photos-010.tar, photos-011.tar are missing",
        "cats-*.tar": "cats-*.tar: no file has such a name",
        "photos-000.*": "several kinds, such as photos-000.parquet and photos-000.tar",
        "photos-{0..}.tar": "{0..} is no range: write {000..127}, or a list {a,b}",
        "photos-{{0..1}}.tar": "is no range",
        "photos-{0..999999}.tar": "more than 100,000 shards",
        "photos-{0..999}{0..999}.tar": "more than 100,000 shards",
        "x.tar.gz": "compressed as a whole",
        "*.txt": "note.txt is no shard",
    }
    for name, words in wrong.items():
        with pytest.raises(UsageError) as caught:
            find_source(name)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not is_data(name) or name == "x.tar.gz"


def test_a_folder_has_shards_unless_it_has_pictures(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000-of-00001.parquet").touch()
    (tmp_path / "README.md").touch()
    assert find_source(str(tmp_path)).kind is SourceKind.SHARDS
    assert len(find_shards(str(tmp_path), FILES)) == 1
    Image.new("L", (8, 8)).save(tmp_path / "data" / "x.png")
    assert find_source(str(tmp_path)).kind is SourceKind.FOLDER


def test_parquet_is_a_table_unless_it_has_pictures(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((4, 4), np.uint8))
    picture.save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    columns = {
        "struct": pa.array([{"bytes": content, "path": None}]),
        "binary": pa.array([None, content]),
        "other": pa.array([b"GIF9", None]),
        "text": pa.array(["x.png"]),
    }
    for name, column in columns.items():
        path = tmp_path / f"{name}.parquet"
        parquet.write_table(pa.table({"x": column}), path)
        expected = SourceKind.SHARDS if name in {"struct", "binary"} else SourceKind.TABLE
        assert find_source(str(path)).kind is expected


def test_parts_are_named_by_files_and_folders() -> None:
    known = {
        ("a/train-0.tar", "a/val-0.tar", "a/TEST-0.tar"): ["train", "validation", "test"],
        ("train/0.tar", "test/0.tar"): ["train", "test"],
        ("x-0.tar", "x-test.tar"): ["train", "test"],
        ("train2017-0.tar", "train2017-1.tar"): [None, None],
        ("latest-0.tar", "contest-0.tar"): [None, None],
    }
    for paths, parts in known.items():
        assert name_parts(paths) == parts


def test_short_names() -> None:
    known = {
        "s3://bucket/photos-{000..127}.tar": "photos",
        "data/{train,test}-*.tar": "data",
        "*.tar": "*.tar",
        "hf://datasets/ylecun/mnist": "mnist",
        "photos.v2.tar": "photos.v2",
    }
    for name, short in known.items():
        assert short_name(name) == short
