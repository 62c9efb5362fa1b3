"""A folder of pictures: which are found, what is derived from them, and how often they are read."""

import dataclasses
import itertools
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin

from vae_cli.data import folder_files
from vae_cli.data.dataset import PictureRules, Spec, ignore_progress
from vae_cli.data.folder import PictureFolder
from vae_cli.data.folder_files import scan_pictures
from vae_cli.data.held_out import count_copies, hash_to_unit_interval
from vae_cli.data.split import InMemory
from vae_cli.data.value_range import Range
from vae_cli.errors import UsageError

ORANGE = (200, 100, 50)


RULES = {one.name for one in dataclasses.fields(PictureRules)}


def open_folder(path: Path, **changes: Any) -> PictureFolder:
    rules = PictureRules(**{name: value for name, value in changes.items() if name in RULES})
    settings = {"test_fraction": 0.5, "progress": ignore_progress}
    others = {name: value for name, value in changes.items() if name not in RULES}
    return PictureFolder(path, rules=rules, **(settings | others))


def make_pictures(path: Path, count: int, size: tuple[int, int] = (40, 30), first: int = 0) -> Path:
    """Pictures of noise with the numbers from `first`, the same in every call."""
    path.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        random = np.random.default_rng(number)
        pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{number:03}.png")
    return path


# ---------------------------------------------------------------------- files, classes and parts


def test_pictures_are_found_in_all_sub_folders_except_hidden_ones(tmp_path: Path) -> None:
    for name in ("a", "a/b/c", "d"):
        make_pictures(tmp_path / "all" / name, 3)
    make_pictures(tmp_path / "all/.thumbs", 2)
    (tmp_path / "all/a/notes.txt").write_text("not a picture")
    (tmp_path / "all/a/.hidden.png").write_bytes(b"not a picture")
    (tmp_path / "all/a/folder.png").mkdir()
    dataset = open_folder(tmp_path / "all")
    train, test = dataset.train(), dataset.test()
    assert dataset.spec.classes == ("a", "d")
    assert len(train) + len(test) == 9
    for part in (train, test):
        names = dataset.names(part)
        assert [dataset.spec.classes[label] for label in part.labels] == [n[0] for n in names]
    found = sorted(dataset.names(train) + dataset.names(test))
    assert found == [f"{name}/{n:03}.png" for name in ("a", "a/b/c", "d") for n in range(3)]


def test_the_folders_of_runs_are_no_data(tmp_path: Path) -> None:
    """In the current folder as data, the previews of a run would otherwise be pictures."""
    for name in ("a", "b", "runs/x", "runs/x/more", "runs/y"):
        make_pictures(tmp_path / name, 1)
    (tmp_path / "runs/x/last.safetensors").touch()
    names = [file.name for file in scan_pictures(tmp_path).files]
    assert names == ["a/000.png", "b/000.png", "runs/y/000.png"]
    assert len(scan_pictures(tmp_path, version=1).files) == 5, "earlier runs keep their pictures"
    assert len(scan_pictures(tmp_path / "runs/x").files) == 2, "one that is named is data"


def test_sub_folders_are_no_classes_if_a_picture_is_beside_them(tmp_path: Path) -> None:
    make_pictures(tmp_path / "a", 3)
    make_pictures(tmp_path / "b", 3)
    make_pictures(tmp_path, 1)
    assert open_folder(tmp_path).spec.classes == ()


def test_a_single_sub_folder_is_no_class(tmp_path: Path) -> None:
    make_pictures(tmp_path / "a", 6)
    assert open_folder(tmp_path).spec.classes == ()


def make_parts(path: Path, *names: str) -> None:
    """Two classes of different pictures in each of some folders, fewer from folder to folder."""
    for number, name in enumerate(names):
        for place, kind in enumerate(("cat", "dog")):
            first = 20 * number + 10 * place
            make_pictures(path / name / kind, 5 - number, (16, 16), first)


@pytest.mark.parametrize(
    ("names", "validation"),
    [
        (("train", "test"), ""),
        (("Train", "Test"), ""),
        (("training", "TESTING"), ""),
        (("train", "valid"), ""),
        (("train", "test", "val"), "val"),
        (("Training", "Testing", "Validation"), "Validation"),
    ],
)
def test_the_names_of_folders_tell_the_parts(
    tmp_path: Path, names: tuple[str, ...], validation: str
) -> None:
    make_parts(tmp_path, *names)
    dataset = open_folder(tmp_path)
    assert dataset.spec.classes == ("cat", "dog")
    splits = dataset.splits()
    held_out = (splits["test"], splits.get("validation"))
    assert list(splits) == ["train", *["validation"] * bool(validation), "test"]
    for name, part in zip(names, filter(None, (splits["train"], *held_out)), strict=True):
        assert {one.split("/")[0] for one in dataset.names(part)} == {name}
        assert part.labels.bincount().tolist() == [5 - names.index(name)] * 2


def test_a_class_called_train_is_no_part(tmp_path: Path) -> None:
    make_parts(tmp_path, "plane", "train")
    assert open_folder(tmp_path).spec.classes == ("plane", "train")
    assert open_folder(tmp_path / "train").spec.classes == ("cat", "dog")
    (tmp_path / "plane").rename(tmp_path / "Train")
    assert open_folder(tmp_path).spec.classes == ("cat", "dog"), "all pictures are to train on"


def test_earlier_runs_keep_the_parts_that_they_had(tmp_path: Path) -> None:
    make_parts(tmp_path / "three", "train", "test", "val")
    assert list(map(len, open_folder(tmp_path / "three", version=1).splits().values())) == [10, 14]
    make_parts(tmp_path / "capitals", "Train", "Test")
    assert open_folder(tmp_path / "capitals", version=1).spec.classes == ("Test", "Train")
    (tmp_path / "capitals/more").symlink_to(tmp_path / "three")
    assert open_folder(tmp_path / "capitals", version=1).spec.classes == ("Test", "Train")


def test_linked_folders_are_followed_and_every_folder_is_read_once(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    make_pictures(photos / "a", 3, first=0)
    make_pictures(tmp_path / "elsewhere/deep", 4, first=10)
    (tmp_path / "elsewhere/back").symlink_to(photos)
    (tmp_path / "elsewhere/deep/again").symlink_to(tmp_path / "elsewhere")
    (photos / "a/loop").symlink_to(photos)
    (photos / "again").symlink_to(photos / "a")
    (photos / "more").symlink_to(tmp_path / "elsewhere")
    (photos / "twice").symlink_to(tmp_path / "elsewhere/deep")
    (photos / ".hidden").symlink_to(tmp_path)
    (photos / "gone").symlink_to(tmp_path / "nowhere")
    dataset = open_folder(photos)
    with pytest.warns(UserWarning, match=r"1 path .* left out: gone \(No such file"):
        splits = dataset.splits()
    names = sorted(name for part in splits.values() for name in dataset.names(part))
    assert names == [
        *(f"a/{number:03}.png" for number in range(3)),
        *(f"more/deep/{number:03}.png" for number in range(10, 14)),
    ]
    assert dataset.spec.classes == ("a", "more")


def test_a_folder_has_the_same_name_from_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pictures(tmp_path / "photos", 3)
    monkeypatch.chdir(tmp_path / "photos")
    assert open_folder(Path()).spec == open_folder(tmp_path / "photos").spec


def test_adding_pictures_moves_none_from_one_part_to_the_other(tmp_path: Path) -> None:
    def held_out_by_item() -> dict[bytes, bool]:
        dataset = open_folder(tmp_path / "all", test_fraction=0.3)
        return {
            item.numpy().tobytes(): held_out
            for held_out, part in ((False, dataset.train()), (True, dataset.test()))
            for item in part.items[part.rows]
        }

    make_pictures(tmp_path / "all", 40)
    before = held_out_by_item()
    make_pictures(tmp_path / "all/more", 30, (30, 40))
    after = held_out_by_item()
    assert len(after) > len(before)
    assert all(after[item] == held_out for item, held_out in before.items())


def values(split: InMemory) -> list[bytes]:
    """The pixels of each item of a part."""
    return [item.numpy().tobytes() for item in split.items[split.rows]]


def test_equal_pictures_are_in_the_same_part_in_every_format_and_class(tmp_path: Path) -> None:
    make_pictures(tmp_path / "a", 30, (16, 16))
    make_pictures(tmp_path / "b/copies", 20, (16, 16))
    for number in range(10):
        with Image.open(tmp_path / f"a/{number:03}.png") as picture:
            picture.save(tmp_path / f"b/{number:03}.bmp")
    dataset = open_folder(tmp_path, image_size=16)
    train, test = dataset.train(), dataset.test()
    assert (len(train) + len(test), count_copies([train, test])) == (60, 30)
    assert min(len(train), len(test)) > 0
    assert not set(values(train)) & set(values(test))
    again = open_folder(tmp_path, image_size=16)
    assert again.test().rows.equal(test.rows), "the hashes come from the cache"


def test_a_run_of_an_earlier_version_keeps_the_parts_that_the_names_decided(tmp_path: Path) -> None:
    make_pictures(tmp_path, 40)
    dataset = open_folder(tmp_path, version=1)
    hashes = {name: hash_to_unit_interval(name.encode()) for name in dataset.names(dataset.test())}
    assert all(value < 0.5 for value in hashes.values())
    assert list(hashes) == sorted(hashes, key=lambda name: hashes[name])
    assert all(hash_to_unit_interval(n.encode()) >= 0.5 for n in dataset.names(dataset.train()))
    now = open_folder(tmp_path)
    assert now.names(now.test()) != list(hashes)


def test_test_pictures_that_are_in_the_training_folder_as_well_are_counted(tmp_path: Path) -> None:
    make_pictures(tmp_path / "train", 6)
    make_pictures(tmp_path / "test", 4)
    make_pictures(tmp_path / "test", 2, (40, 40))
    with pytest.warns(UserWarning, match=r"2 of 4 test items are in the training set as well"):
        open_folder(tmp_path).train()


def test_pictures_that_are_all_equal_are_refused_or_named(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "test/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (16, 16), 255).save(tmp_path / f"{name}.png")
    with pytest.warns(UserWarning, match="all items are equal"):
        open_folder(tmp_path).train()
    with pytest.raises(UsageError, match="which are all equal"):
        open_folder(tmp_path / "train").train()


def test_white_ink_needs_another_background(tmp_path: Path) -> None:
    """White on transparent, which is invisible on white."""
    for number in range(8):
        ink = Image.new("RGBA", (16, 16), (255, 255, 255, 0))
        ink.paste((255, 255, 255, 255), (0, 0, 2 + number, 16))
        ink.save(tmp_path / f"{number}.png")
    with pytest.raises(
        UsageError, match=r"all 8 pictures .* are equal.*: try data.background=black"
    ):
        open_folder(tmp_path).train()
    dataset = open_folder(tmp_path, background=0)
    assert dataset.spec.background == 0
    train = dataset.train()
    assert train.items[train.rows].amin((1, 2, 3)).unique().tolist() == [0]
    assert train.items[train.rows].amax((1, 2, 3)).unique().tolist() == [255]


def test_an_empty_folder_is_refused_with_the_extensions_that_are_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no pictures in .*\.png, \.jpg"):
        open_folder(tmp_path)


# ---------------------------------------------------------------------- pages


def make_stacks(path: Path) -> Path:
    """A TIFF of four pages, a GIF of three, and files in which there is one picture to learn."""
    pages = [Image.new("L", (16, 16), 10 * number) for number in range(9)]
    for name, some in (("a.tif", pages[:4]), ("b.gif", pages[4:7])):
        some[0].save(path / name, save_all=True, append_images=some[1:])
    pages[7].save(path / "c.png")
    pages[8].save(path / "d.jpg", "MPO", save_all=True, append_images=pages[:1])  # with a preview
    small = TiffImagePlugin.ImageFileDirectory_v2()
    small[254] = 1  # this page is a smaller copy of another one
    with TiffImagePlugin.AppendingTiffWriter(path / "e.tif", new=True) as file:
        for page, tags in ((Image.new("L", (16, 16), 200), None), (pages[0].resize((8, 8)), small)):
            page.save(file, "TIFF", **({"tiffinfo": tags} if tags else {}))
            file.newFrame()
    return path


STACKS = {
    **{f"a.tif[{page}]": 10 * page for page in range(4)},
    **{f"b.gif[{page}]": 40 + 10 * page for page in range(3)},
    **{"c.png": 70, "d.jpg": 80, "e.tif": 200},
}


def brightness(dataset: PictureFolder) -> dict[str, int]:
    """The brightness of each item by its name."""
    parts = dataset.splits().values()
    return {
        name: int(item.float().mean().round())
        for part in parts
        for name, item in zip(dataset.names(part), part.items[part.rows], strict=True)
    }


def test_every_page_is_an_item_or_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_stacks(tmp_path)
    first = open_folder(tmp_path)
    with pytest.warns(
        UserWarning, match=r"2 pictures have .*, and 5 of them are left out: data.fr"
    ):
        found = brightness(first)
    assert found == {"a.tif": 0, "b.gif": 40, "c.png": 70, "d.jpg": 80, "e.tif": 200}
    assert brightness(open_folder(tmp_path, frames="all")) == STACKS
    monkeypatch.setattr(folder_files, "count_pages", lambda _: pytest.fail("counted twice"))
    assert brightness(open_folder(tmp_path, frames="all")) == STACKS
    model = open_folder(tmp_path, like=Spec("x", (1, 16, 16), frames="all"), test_fraction=0)
    assert brightness(model) == STACKS


def test_pages_before_a_damaged_one_are_items(tmp_path: Path) -> None:
    make_pictures(tmp_path, 8, (16, 16))
    noise = [Image.frombytes("L", (16, 16), np.random.default_rng(n).bytes(256)) for n in range(4)]
    noise[0].save(tmp_path / "x.tif", save_all=True, append_images=noise[1:])
    whole = (tmp_path / "x.tif").read_bytes()
    (tmp_path / "x.tif").write_bytes(whole[:-100])
    dataset = open_folder(tmp_path, frames="all", channels=1)
    with pytest.warns(UserWarning, match=r"cannot be read and (is|are) left out"):
        names = brightness(dataset)
    assert [name for name in names if name.startswith("x.tif")]
    assert len(names) < 12


# ---------------------------------------------------------------------- size and channels


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)], 28),
        ([(50, 70)], 50),
        ([(20, 90), (40, 40), (35, 35)], 32),
        ([(640, 480), (900, 1200)], 64),
        ([(9, 9), (12, 12)], 16),
    ],
)
def test_the_size_is_derived_from_the_pictures_unless_it_is_given(
    tmp_path: Path, sizes: list[tuple[int, int]], expected: int
) -> None:
    for number, size in enumerate(itertools.islice(itertools.cycle(sizes), 12)):
        Image.new("L", size, number).save(tmp_path / f"{number}.png")
    assert open_folder(tmp_path).spec.shape == (1, expected, expected)
    assert open_folder(tmp_path, image_size=20).spec.shape == (1, 20, 20)
    assert open_folder(tmp_path, channels=3).spec.shape == (3, expected, expected)
    assert open_folder(tmp_path, image_size=20, channels=3).spec.shape == (3, 20, 20)


def test_one_picture_in_colour_makes_all_of_them_rgb(tmp_path: Path) -> None:
    Image.new("L", (32, 32), 7).save(tmp_path / "grey.png")
    Image.new("RGB", (32, 32), ORANGE).save(tmp_path / "orange.png")
    assert open_folder(tmp_path).spec.shape == (3, 32, 32)


@pytest.mark.parametrize(("background", "cropped"), [(0, False), (255, False), (0, True)])
def test_the_pictures_are_fitted_as_a_models_spec_says(
    tmp_path: Path, background: int, cropped: bool
) -> None:
    for number in range(4):
        Image.new("L", (40, 20), 100).save(tmp_path / f"{number}.png")
    like = Spec("other", (1, 8, 8), classes=("class",), background=background, cropped=cropped)
    dataset = open_folder(tmp_path, like=like, test_fraction=0.0)
    assert dataset.spec == Spec(
        tmp_path.name, (1, 8, 8), classes=(), background=background, cropped=cropped
    )
    assert dataset.train().items[0, 0, :, 0].tolist() == [
        *[100 if cropped else background] * 2,
        *[100] * 4,
        *[100 if cropped else background] * 2,
    ]


# ---------------------------------------------------------------------- decoding


def test_unreadable_pictures_are_left_out_and_listed_in_a_file(tmp_path: Path, cache: Path) -> None:
    make_pictures(tmp_path / "all", 12)
    content = (tmp_path / "all/003.png").read_bytes()
    (tmp_path / "all/bad.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "all/empty.jpg").touch()
    dataset = open_folder(tmp_path / "all")
    with pytest.warns(UserWarning, match=r"2 of 14 pictures cannot be read"):
        train, test = dataset.train(), dataset.test()
    names = dataset.names(train) + dataset.names(test)
    assert sorted(names) == [f"{number:03}.png" for number in range(12)]
    (log,) = cache.glob("*.log")
    assert "bad.png" in log.read_text()
    assert "empty.jpg" in log.read_text()
    log.unlink()
    os.mkfifo(log)
    with pytest.warns(UserWarning, match=r"2 of 14 .*; the first: .*bad\.png"):
        assert len(open_folder(tmp_path / "all").train()) == len(train)


def test_a_folder_in_which_no_picture_can_be_read_is_refused(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"none of the 3 pictures .* the first: .*0\.png is not"):
        open_folder(tmp_path).train()


def test_pictures_are_decoded_once_until_one_of_them_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pictures(tmp_path / "all", 10)
    first = open_folder(tmp_path / "all").train()
    decoded: list[str] = []
    decode = folder_files.decode_picture

    def counted(path: Path, *arguments: object, **options: object) -> object:
        decoded.append(path.name)
        return decode(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(folder_files, "decode_picture", counted)
    again = open_folder(tmp_path / "all").train()
    assert not decoded
    assert again.items[again.rows].equal(first.items[first.rows])
    Image.new("RGB", (40, 30), ORANGE).save(tmp_path / "all/004.png")
    open_folder(tmp_path / "all").train()
    assert len(decoded) == 10


def test_a_picture_that_is_replaced_with_the_same_size_and_time_is_decoded_again(
    tmp_path: Path,
) -> None:
    make_pictures(tmp_path / "all", 4)
    picture = tmp_path / "all/002.bmp"
    Image.new("RGB", (40, 30), ORANGE).save(picture)
    before = picture.stat()
    assert open_folder(tmp_path / "all", image_size=16).train()
    while picture.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of the system has ticks
        Image.new("RGB", (40, 30), "black").save(picture)
        os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = picture.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    again = open_folder(tmp_path / "all", image_size=16)
    rows = [row for row, file in enumerate(again.files) if file.name == picture.name]
    assert not again.train().items[rows].any()


def test_pictures_are_decoded_again_for_another_size_or_background(
    tmp_path: Path, cache: Path
) -> None:
    make_pictures(tmp_path / "all", 4)
    open_folder(tmp_path / "all").train()
    open_folder(tmp_path / "all", image_size=16).train()
    open_folder(tmp_path / "all", like=Spec("", (3, 16, 16), background=9)).train()
    assert len(list(cache.glob("*.npy"))) == 3


def test_a_range_of_values_is_part_of_the_cache_and_is_measured_on_the_training_part(
    tmp_path: Path,
) -> None:
    for part, tops in (("train", (100, 1000, 4000)), ("test", (4000, 5000))):
        (tmp_path / "all" / part).mkdir(parents=True)
        for number, top in enumerate(tops):
            pixels = np.full((16, 16), top, np.uint16)
            pixels[0, 0] = 100 * number
            Image.fromarray(pixels).save(tmp_path / "all" / part / f"{number}.png")
    (tmp_path / "all/train/no.png").write_bytes(b"no picture")

    def brightest(value_range: Range) -> list[int]:
        dataset = open_folder(tmp_path / "all", value_range=value_range)
        with warnings.catch_warnings(record=True, action="always") as said:
            train, test = dataset.train(), dataset.test()
        known = [str(warning.message) for warning in said if "cannot be read" not in str(warning)]
        for text, start in zip(known, expected.get(value_range, []), strict=True):
            assert text.startswith(start)
        items = [part.items[part.rows] for part in (train, test)]
        return torch.cat(items).amax((1, 2, 3)).tolist()

    cut = f"{tmp_path / 'all'}: 1 of 5 items have values beyond"
    dark = f"{tmp_path / 'all'}: the brightest value is 5000 of 65535: data.range=0:16383 makes"
    expected: dict[Range, list[str]] = {
        None: [dark],
        "data": [f"{cut} 0:4000"],
    }
    for _ in range(2):
        assert brightest(None) == [0, 4, 16, 16, 19]
        assert brightest((0, 5000)) == [5, 51, 204, 204, 255]
        assert brightest("data") == [6, 64, 255, 255, 255]


def test_a_value_beyond_white_is_refused_by_the_name_of_its_picture(tmp_path: Path) -> None:
    for number in range(5):
        Image.fromarray(np.full((16, 16), number, np.float32)).save(tmp_path / f"{number}.tif")
    with pytest.raises(UsageError, match=r"2\.tif: 2 is not in \[0, 1\]$"):
        open_folder(tmp_path, like=Spec("x", (1, 16, 16))).train()
    with pytest.raises(UsageError, match=r"2\.tif: 2 is not in \[0, 1\]$"):
        open_folder(tmp_path).train()
    Image.fromarray(np.full((16, 16), np.nan, np.float32)).save(tmp_path / "3.tif")
    with pytest.raises(UsageError, match=r"3\.tif: nan is not a finite number$"):
        open_folder(tmp_path, value_range="data").train()


def test_decoding_that_is_interrupted_leaves_no_file(tmp_path: Path, cache: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    make_pictures(tmp_path / "all", 20)
    with pytest.raises(KeyboardInterrupt):
        open_folder(tmp_path / "all", progress=stop).train()
    assert not list(cache.iterdir())


def test_progress_counts_every_picture(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    make_pictures(tmp_path / "all", 5)
    open_folder(tmp_path / "all", progress=lambda done, total: calls.append((done, total))).train()
    assert calls == [(done, 5) for done in range(1, 6)]


def test_the_warning_filters_are_the_same_after_decoding_in_threads(tmp_path: Path) -> None:
    make_pictures(tmp_path / "all", 60)
    before = list(warnings.filters)
    open_folder(tmp_path / "all").train()
    assert warnings.filters == before
