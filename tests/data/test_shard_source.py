"""Pictures and arrays in shards: the same items as elsewhere, whatever is in the files."""

import io
import pickle
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from shard_files import opened, picture, read_all, write_parquet, write_tar

from vae_cli.data import parquet_shards, shard_source
from vae_cli.data.arrays import Arrays
from vae_cli.data.catalogue import open_dataset
from vae_cli.data.dataset import PictureRules, ignore_progress
from vae_cli.data.folder import PictureFolder
from vae_cli.data.shard_source import sort_classes
from vae_cli.data.source import find_source
from vae_cli.errors import UsageError, VAEError


@pytest.fixture
def pictures() -> dict[str, bytes]:
    """Ten picture files of several formats, modes and sizes."""
    kinds = [("jpg", "JPEG", "RGB"), ("png", "PNG", "RGBA"), ("tif", "TIFF", "I;16")]
    kinds += [("webp", "WEBP", "RGB"), ("png", "PNG", "L")]
    return {
        f"{number:03}.{ending}": picture(suffix, mode, (30 + number, 45), number)
        for number, (ending, suffix, mode) in enumerate(kinds * 2)
    }


def test_a_picture_has_the_same_pixels_in_a_folder_and_in_shards(
    tmp_path: Path, pictures: dict[str, bytes]
) -> None:
    names = list(pictures)
    for name, content in pictures.items():
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    for number, some in enumerate((names[:6], names[6:])):
        chosen = {name: pictures[name] for name in some}
        write_tar(tmp_path / f"photos-{number}.tar", chosen)
        write_parquet(tmp_path / f"photos-{number}.parquet", chosen)
    for rules in ({}, {"image_size": 20, "channels": 1, "background": 0, "value_range": (0, 99)}):
        folder = PictureFolder(
            tmp_path / "folder",
            rules=PictureRules(**rules),
            test_fraction=0,
            progress=ignore_progress,
        )
        with warnings.catch_warnings(action="ignore"):  # values beyond the range
            expected = folder.read().train
        for ending in ("tar", "parquet"):
            shards, spec, files, notes, _ = opened(tmp_path / f"photos-{{0..1}}.{ending}", **rules)
            assert spec.shape == folder.spec.shape
            assert not notes
            assert len(files) == 2
            assert [key.rpartition("/")[2] for key in shards.keys(torch.arange(10))] == names
            assert read_all(shards).equal(expected.gather(expected.rows))
            again = pickle.loads(pickle.dumps(shards))
            assert again.digest == shards.digest
            assert read_all(again).equal(expected.items)


def test_classes_are_numbers_or_texts(tmp_path: Path) -> None:
    content = picture("PNG", "L")
    labels = {
        "numbers": ([("cls", b"1\n"), ("cls", b"0"), ("cls", b"02")], [1, 0, 2], "012"),
        "texts": ([("cls", b"dog"), ("cls", b"cat"), ("cls", b"dog")], [1, 0, 1], ["cat", "dog"]),
        "json": (
            [("json", b'{"label": 1.0}'), ("json", b'{"class": 0}'), ("json", b'{"label": 1}')],
            [1, 0, 1],
            "01",
        ),
        "some": ([("cls", b"dog"), ("json", b"{"), ("txt", b"x")], [0, 1, 1], ["dog", "(none)"]),
        "none": ([("txt", b"dog"), ("json", b"[]"), ("json", b'{"label": true}')], [], []),
    }
    for name, (members, numbers, classes) in labels.items():
        path = tmp_path / f"{name}.tar"
        found = {f"{place}.{ending}": text for place, (ending, text) in enumerate(members)}
        write_tar(path, {**{f"{place}.png": content for place in range(3)}, **found})
        shards, spec, *_ = opened(path)
        assert shards.labels.tolist() == numbers
        assert spec.classes == tuple(classes)
    assert sort_classes({"1990", "200"}, 50) == ["200", "1990"]


def test_classes_have_the_names_of_the_hub(tmp_path: Path) -> None:
    content = {str(place): picture("PNG", "L") for place in range(3)}
    shards, spec, *_ = opened(write_parquet(tmp_path / "x.parquet", content, label=[1, 0, -1]))
    assert spec.classes == ("cat", "dog", "(none)")
    assert shards.labels.tolist() == [1, 0, 2]


def test_members_of_a_strange_tar_are_only_read(tmp_path: Path) -> None:
    content, outside = picture("PNG", "L"), tmp_path / "outside.png"
    outside.write_bytes(content)
    folder = tmp_path / "shards"
    folder.mkdir()
    with tarfile.open(folder / "x.tar", "w") as tar:
        for name in ("/etc/a.png", "../b.png", "c/d.e/f.png", "no-ending", ".hidden.png", "g.PNG"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, kind in (("h.png", tarfile.SYMTYPE), ("i.png", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, str(outside)
            tar.addfile(member)
        tar.addfile(tarfile.TarInfo("j.png"))
        member = tarfile.TarInfo("g.mask.png")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    before = sorted(tmp_path.rglob("*"))
    shards, _, _, notes, _ = opened(folder)
    names = ["/etc/a.png", "../b.png", "c/d.e/f.png", "g.PNG"]
    assert shards.keys(torch.arange(4)) == [f"x.tar/{name}" for name in names]
    assert len(read_all(shards)) == len(names)
    assert notes == (
        f"{folder}: not read are 2 links and other special members, 1 empty or too large pictures, "
        "1 second pictures of a key",
    )
    assert [path for path in sorted(tmp_path.rglob("*")) if "cache" not in path.parts] == before


def test_a_tar_that_is_cut_short_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    members = {f"{place}.{end}": b"x" * 700 for place in range(3) for end in ("png", "cls")}
    path = write_tar(tmp_path / "x.tar", members)
    content, end = path.read_bytes(), 6 * (512 + 1024)
    assert len(opened(path).shards.hashes) == 3
    for length in (*range(0, end + 512, 256), end - 1, end + 511):
        path.write_bytes(content[:length])
        with pytest.raises(UsageError, match="copy it again, or leave it out"):
            opened(path)
    path.write_bytes(content[:1536] + b"?" * 512 + content[2048:])
    with pytest.raises(UsageError, match=r"damaged after 0\.png"):
        opened(path)
    write_tar(path, {"a.mp3": b"x", "b.txt": b"y"})
    with pytest.raises(UsageError, match=r"no pictures in .*: it holds \.mp3, \.txt"):
        opened(path)


def test_a_damaged_picture_is_left_out_and_the_next_one_takes_its_place(tmp_path: Path) -> None:
    members = {f"{place}.png": picture("PNG", "RGB", seed=place) for place in range(5)}
    members["1.png"], members["4.png"] = b"text", members["4.png"][:100]
    shards = opened(write_tar(tmp_path / "x.tar", members)).shards
    with pytest.warns(UserWarning, match="is left out, and the next one") as caught:
        items = read_all(shards)
    assert items[[1, 4]].equal(items[[2, 0]])
    assert not items[0].equal(items[2])
    assert sorted(str(one.message).split(" ")[0] for one in caught) == [
        f"{tmp_path}/x.tar/{name}" for name in ("1.png", "4.png")
    ]
    with warnings.catch_warnings(action="error"):  # it is said once
        assert read_all(shards).equal(items)
    none = opened(write_tar(tmp_path / "y.tar", {"a.png": b"a", "b.png": b"b"})).shards
    none.prepare(0)
    with warnings.catch_warnings(action="ignore"), pytest.raises(VAEError, match="no picture in"):
        none.read(0, torch.tensor([1]))
    none.release(0)


def test_an_index_is_made_again_only_if_its_shard_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    made = []
    make = shard_source.INDEXES[".tar"]

    def counted(*arguments: Any) -> Any:
        made.append(arguments)
        return make(*arguments)

    monkeypatch.setitem(shard_source.INDEXES, ".tar", counted)
    path = write_tar(tmp_path / "x.tar", {"a.png": picture("PNG", "L")})
    first = opened(path).shards
    assert opened(path).shards.digest == first.digest
    assert len(made) == 1
    (index,) = cache.glob("index-*.parquet")
    content = bytearray(index.read_bytes())
    content[len(content) // 4] ^= 255
    index.write_bytes(content)
    assert opened(path).shards.digest == first.digest
    assert len(made) == 2
    write_tar(path, {"b.png": picture("PNG", "L")})
    with pytest.raises(VAEError, match="was changed while it was in use"):
        first.prepare(0)
    assert opened(path).shards.digest != first.digest
    assert len(made) == 3


def test_new_values_in_an_old_file_are_seen(tmp_path: Path) -> None:
    path, draw = tmp_path / "x-0.npy", np.random.default_rng(0)
    digests, found = set(), []
    for _ in range(2):
        np.save(path, draw.integers(0, 256, (40, 8, 8), np.uint8))  # of the same size
        dataset = open_dataset(
            find_source(f"{tmp_path}/x-*.npy"), test_fraction=0.2, progress=ignore_progress
        )
        test = dataset.test()
        found.append(test.gather(test.rows))
        digests.add(opened(tmp_path / "x-*.npy").shards.digest)
        rows = torch.tensor([int(name.rpartition("[")[2][:-1]) for name in dataset.names(test)])
        assert found[-1].equal(torch.from_numpy(np.load(path))[rows][:, None])
    assert not found[0].equal(found[1])
    assert len(digests) == 2


@pytest.mark.slow
def test_damaged_shards_are_read_or_refused_in_one_line(
    tmp_path: Path, pictures: dict[str, bytes]
) -> None:
    few = {name: pictures[name] for name in list(pictures)[:3]}
    np.save(tmp_path / "z.npy", np.zeros((3, 8, 8), np.uint8))
    sources = [
        write_tar(tmp_path / "z.tar", {**few, "000.cls": b"1"}),
        write_parquet(tmp_path / "z.parquet", few, label=[0, 1, 0]),
        tmp_path / "z.npy",
    ]
    draw = np.random.default_rng(0)
    for source in sources * 150:
        content = np.frombuffer(source.read_bytes(), np.uint8).copy()
        places = draw.integers(0, len(content), 3)
        content[places] = draw.integers(0, 256, 3)
        if source.suffix == ".tar":  # its header is believed
            content[124:136] = np.frombuffer(draw.bytes(12), np.uint8)
            content[148:156] = ord(" ")
            total = int(content[:512].astype(int).sum())
            content[148:156] = np.frombuffer(f"{total:06o}\0 ".encode(), np.uint8)
        path = source.with_stem("x")
        path.write_bytes(content.tobytes()[: None if draw.random() < 0.7 else int(places[0])])
        try:
            with warnings.catch_warnings(action="ignore"):
                assert len(read_all(opened(path).shards)) <= 3
        except VAEError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)


def test_few_groups_of_rows_are_kept(
    tmp_path: Path, pictures: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_parquet(tmp_path / "x.parquet", pictures)
    expected = read_all(opened(path).shards)
    monkeypatch.setattr(parquet_shards, "MAX_KEPT", 1)
    shards = opened(path).shards
    shards.prepare(0)
    with pytest.warns(UserWarning, match="shuffle_window") as caught:
        again = [shards.read(0, torch.tensor([place])) for place in [*range(10), *range(10)]]
    assert torch.cat(again).equal(torch.cat([expected, expected]))
    assert len(caught) == 1
    shards.release(0)
    monkeypatch.setattr(parquet_shards, "MAX_GROUP", 100)
    other = write_parquet(tmp_path / "y.parquet", pictures)
    with pytest.raises(UsageError, match="write it again with row_group_size=1000"):
        opened(other)


def test_arrays_are_read_as_in_one_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        "uint8": (generator.integers(0, 256, (20, 8, 8, 3)).astype(np.uint8), {}),
        "float64": (generator.random((20, 1, 8, 8)), {}),
        "int16": (generator.integers(-99, 99, (20, 8, 8)), {"value_range": (-50.0, 50.0)}),
        "bool": (generator.random((20, 8, 8)) > 0.5, {}),
    }
    for name, (array, rules) in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        for number, part in enumerate(np.split(array, [3, 12])):
            np.save(tmp_path / f"{name}-{number}.npy", part)
        whole = Arrays(tmp_path / f"{name}.npy", rules=PictureRules(**rules), test_fraction=0)
        with warnings.catch_warnings(action="ignore"):  # values beyond the range
            train = whole.read().train
        shards, spec, *_ = opened(tmp_path / f"{name}-*.npy", **rules)
        items = read_all(shards)
        assert items.dtype == shards.dtype
        assert items.equal(train.gather(train.rows).to(items.dtype))
        assert (spec.shape, spec.range) == (whole.spec.shape, whole.spec.range)
        assert shards.keys(torch.tensor([4])) == [f"{name}-1.npy[1]"]


def test_shards_that_cannot_be_read_are_refused_in_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "a-0.npy", np.zeros((3, 8, 8), np.uint8))
    np.save(tmp_path / "a-1.npy", np.zeros((3, 8, 9), np.uint8))
    np.save(tmp_path / "b-0.npy", np.zeros((3, 8, 8), np.uint16))
    np.save(tmp_path / "c-0.npy", np.zeros((3, 8)))
    np.save(tmp_path / "d-0.npy", np.full((3, 8, 8), 2.0))
    (tmp_path / "e-0.npy").write_bytes((tmp_path / "a-0.npy").read_bytes()[:-1])
    parquet.write_table(pa.table({"x": [1]}), tmp_path / "f-0.parquet")
    write_tar(tmp_path / "g-0.tar", {"x.png": picture("PNG", "L")})
    wrong = [
        ("a-*.npy", {}, "holds items of 1x8x9, but a is of 1x8x8"),
        ("b-*.npy", {}, "holds uint16: images are uint8, or floats in [0, 1]; data.range=LOW:HIGH"),
        ("c-*.npy", {}, "shards of vectors are not read"),
        ("e-*.npy", {}, "e-0.npy: it is cut short"),
        ("f-*.parquet", {}, "f-0.parquet has no column of pictures"),
        ("g-*.tar", {"value_range": "data"}, "data.range=data would decode all shards first"),
    ]
    for name, rules, words in wrong:
        with pytest.raises(UsageError) as caught:
            opened(tmp_path / name, **rules)
        assert words in str(caught.value)
    with pytest.raises(UsageError, match=r"d-0\.npy: 2\.0 at row \d"):
        read_all(opened(tmp_path / "d-*.npy").shards)
