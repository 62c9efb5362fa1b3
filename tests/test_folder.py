"""A folder of pictures: all kinds found, read as a person sees them, decoded once."""

import itertools
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from vae_cli import images
from vae_cli.data.folder import PictureFolder
from vae_cli.data.split import divide, position
from vae_cli.errors import UsageError, VAEError

COLOUR = (200, 100, 50)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def read(path: Path, **more: object) -> PictureFolder:
    settings = {"image_size": 0, "channels": 0, "test_fraction": 0.5, "progress": lambda *_: None}
    return PictureFolder(path, **(settings | more))  # type: ignore[arg-type]


def noise(path: Path, count: int, size: tuple[int, int] = (40, 30)) -> Path:
    for number in range(count):
        draw = np.random.default_rng(number)
        path.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{number:03}.png")
    return path


def turned(image: Image.Image, path: Path) -> None:
    """Stored on its side, with the EXIF word that says so."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image.rotate(90, expand=True).save(path, exif=exif, quality=95)


KINDS: dict[str, Callable[[Image.Image, Path], None]] = {
    "plain.png": lambda image, path: image.save(path),
    "palette.png": lambda image, path: image.quantize(16).save(path),
    "palette.gif": lambda image, path: image.quantize(16).save(path),
    "cmyk.jpg": lambda image, path: image.convert("CMYK").save(path, quality=95),
    "turned.jpg": turned,
    "alpha.webp": lambda image, path: image.convert("RGBA").save(path, lossless=True),
    "plain.bmp": lambda image, path: image.save(path),
    "PLAIN.TIFF": lambda image, path: image.save(path),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_picture_has_its_colours_where_a_person_sees_them(
    tmp_path: Path, name: str
) -> None:
    image = Image.new("RGB", (64, 96), COLOUR)
    image.paste((20, 40, 220), (0, 48, 64, 96))  # blue below
    KINDS[name](image, tmp_path / name)
    pixels = images.read(tmp_path / name, (3, 32, 32), background=255, crop=True).pixels.float()
    for half, expected in ((pixels[:, :14], COLOUR), (pixels[:, 18:], (20, 40, 220))):
        found = half.mean((1, 2))
        assert found.sub(torch.tensor(expected)).abs().max() < 6, found


def test_sixteen_bits_and_transparency(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), 32768, np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGBA", (20, 20), (9, 9, 9, 0)).save(tmp_path / "clear.png")
    deep, clear = (
        images.read(tmp_path / name, (1, 16, 16), background=255, crop=True).pixels
        for name in ("deep.png", "clear.png")
    )
    assert deep.unique().tolist() == [128]
    assert clear.unique().tolist() == [255]


def test_cropping_fills_the_shape_from_the_middle(tmp_path: Path) -> None:
    image = Image.new("L", (300, 100), 0)
    image.paste(255, (100, 0, 200, 100))
    image.save(tmp_path / "wide.png")
    pixels = images.read(tmp_path / "wide.png", (1, 16, 16), crop=True).pixels
    assert pixels.min() > 230  # the edge of the white part may bleed into it


def test_pictures_are_found_in_all_folders_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for folder in ("a", "a/b/c", "d"):
        noise(tmp_path / "all" / folder, 3)
    noise(tmp_path / "all/.thumbs", 2)
    (tmp_path / "all/a/notes.txt").write_text("not a picture")
    folder = read(tmp_path / "all")
    assert folder.spec.classes == ("a", "d")
    assert len(folder.train()) + len(folder.test()) == 9
    assert folder.train().labels.bincount(minlength=2).sum() == len(folder.train())


def test_a_picture_beside_the_folders_means_that_they_are_no_classes(tmp_path: Path) -> None:
    noise(tmp_path / "a", 3)
    noise(tmp_path / "b", 3)
    noise(tmp_path, 1)
    assert read(tmp_path).spec.classes == ()


def test_folders_named_train_and_test_are_the_parts(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("test", 2)):
        for kind in ("cat", "dog"):
            noise(tmp_path / part / kind, count)
    folder = read(tmp_path)
    assert folder.spec.classes == ("cat", "dog")
    assert len(folder.train()) == 8
    assert len(folder.test()) == 4
    assert folder.test().labels.tolist() == [0, 0, 1, 1]


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
def test_the_size_is_derived_from_the_pictures(
    tmp_path: Path, sizes: list[tuple[int, int]], expected: int
) -> None:
    for number, size in enumerate(itertools.islice(itertools.cycle(sizes), 12)):
        Image.new("L", size, number).save(tmp_path / f"{number}.png")
    assert read(tmp_path).spec.shape == (1, expected, expected)
    assert read(tmp_path, image_size=20, channels=3).spec.shape == (3, 20, 20)


def test_one_picture_in_colour_makes_all_of_them_rgb(tmp_path: Path) -> None:
    Image.new("L", (32, 32), 7).save(tmp_path / "grey.png")
    Image.new("RGB", (32, 32), COLOUR).save(tmp_path / "red.png")
    assert read(tmp_path).spec.shape == (3, 32, 32)


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path, cache: Path) -> None:
    noise(tmp_path / "all", 12)
    whole = (tmp_path / "all/003.png").read_bytes()
    (tmp_path / "all/bad.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "all/empty.jpg").touch()
    folder = read(tmp_path / "all")
    with pytest.warns(UserWarning, match=r"2 of 14 pictures cannot be read"):
        count = len(folder.train()) + len(folder.test())
    assert count == 12
    (log,) = cache.glob("*.log")
    assert "bad.png" in log.read_text()
    assert "empty.jpg" in log.read_text()


def test_when_none_can_be_read_it_is_an_error(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"none of the 3 pictures .* the first: .*0\.png is not"):
        read(tmp_path).train()


def test_an_empty_folder_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no pictures in .*\.png, \.jpg"):
        read(tmp_path)


def test_pictures_are_decoded_once_until_one_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise(tmp_path / "all", 10)
    first = read(tmp_path / "all").train()
    decoded, real = [], images.decode

    def counted(path: Path, *words: object, **more: object) -> object:
        decoded.append(path.name)
        return real(path, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(images, "decode", counted)
    again = read(tmp_path / "all").train()
    assert not decoded
    assert again.items[again.rows].equal(first.items[first.rows])
    Image.new("RGB", (40, 30), COLOUR).save(tmp_path / "all/004.png")
    read(tmp_path / "all").train()
    assert len(decoded) == 10


def test_new_pictures_move_none_from_one_side_to_the_other(tmp_path: Path) -> None:
    def sides() -> dict[bytes, bool]:
        folder = read(tmp_path / "all", test_fraction=0.3)
        found = {}
        for held_out, part in ((False, folder.train()), (True, folder.test())):
            found |= {item.numpy().tobytes(): held_out for item in part.items[part.rows]}
        return found

    noise(tmp_path / "all", 40)
    before = sides()
    noise(tmp_path / "all/more", 30, (30, 40))
    after = sides()
    assert len(after) > len(before)
    assert all(after[item] == held_out for item, held_out in before.items())


def test_the_share_held_out_is_what_was_asked_for() -> None:
    keys = [str(number).encode() for number in range(20_000)]
    train, test = divide(keys, 0.1, "it")
    assert len(test) / len(keys) == pytest.approx(0.1, abs=0.01)
    assert torch.cat([train, test]).sort().values.equal(torch.arange(len(keys)))
    assert position(b"a picture") == 0.8766971422625822  # the same on every machine, for ever


def test_a_part_that_would_be_empty_is_refused() -> None:
    with pytest.raises(UsageError, match="holds out none"):
        divide([b"1", b"2"], 0.001, "it")


def test_a_decoding_that_breaks_off_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    noise(tmp_path / "all", 20)
    with pytest.raises(KeyboardInterrupt):
        read(tmp_path / "all", progress=stop).train()
    assert not list(cache.iterdir())
    shutil.rmtree(cache)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_under_the_cache_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False
    ).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        monkeypatch.setenv("VAE_DATA", str(disk))
        noise(tmp_path / "all", 40)
        with pytest.raises(VAEError, match=r"cannot write .*No space left"):
            read(tmp_path / "all").train()
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)


def test_threads_leave_the_filters_of_warnings_as_they_were(tmp_path: Path) -> None:
    noise(tmp_path / "all", 60)
    before = list(warnings.filters)
    read(tmp_path / "all").train()
    assert warnings.filters == before
