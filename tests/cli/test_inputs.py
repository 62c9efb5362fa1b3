"""The files that a command reads, and the file that it writes."""

import errno
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import SPECIAL_FILES, Refused, Use

from vae_cli.data.picture_files import MAX_BYTES

READERS = ("reconstruct", "traverse", "interpolate")
ANIMATORS = ("sample", "traverse", "interpolate")
WRITERS = ("sample", "reconstruct", "traverse", "interpolate", "data")


# ------------------------------------------------------------ damaged pictures


def png(width: int, height: int) -> bytes:
    """A few bytes that claim to be a picture of this size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"0")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gif(screen: int, frame: int) -> bytes:
    """The same as GIF, whose frames have a size of their own."""
    start = b"GIF89a" + struct.pack("<HHBBB", screen, screen, 0, 0, 0)
    return start + b"," + struct.pack("<HHHHB", 0, 0, frame, frame, 0) + b"\x02\x01\x00\x00;"


def half(suffix: str) -> bytes:
    """The first half of the file of a real picture."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = Path(f"whole.{suffix}")
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.unlink()
    return content[: len(content) // 2]


PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"hello\n" * 100, "not a picture"),
    "half_png": (lambda: half("png"), "truncated"),
    "half_jpeg": (lambda: half("jpg"), "truncated"),
    "half_gif": (lambda: half("gif"), "truncated"),
    "half_webp": (lambda: half("webp"), "truncated"),
    "half_tiff": (lambda: half("tif"), "truncated"),
    "half_bmp": (lambda: half("bmp"), "truncated"),
    "start_of_png": (lambda: png(8, 8)[:20], "truncated"),
    "png_without_pixels": (lambda: png(8, 8), "truncated"),
    "png_of_no_size": (lambda: png(0, 0), "not a picture"),
    "huge_png": (lambda: png(60_000, 60_000), "100 million pixels"),
    "png_just_too_large": (lambda: png(10_001, 10_000), "100 million pixels"),
    "long_png": (lambda: png(2**31 - 1, 1), "100 million pixels"),
    "huge_gif": (lambda: gif(60_000, 60_000), "100 million pixels"),
    "gif_with_a_huge_frame": (lambda: gif(10, 60_000), "100 million pixels"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_damaged_picture_is_refused_with_its_name_and_the_reason(
    here: Path, refused: Refused, name: str
) -> None:
    content, reason = PICTURES[name]
    (here / "odd.png").write_bytes(content())
    message = refused("reconstruct", "-q", "odd.png", "-o", "out.png")
    assert "odd.png" in message
    assert reason in message


def test_among_good_pictures_the_damaged_one_is_named(here: Path, refused: Refused) -> None:
    Image.new("L", (8, 8)).save("good.png")
    (here / "odd.png").write_bytes(b"")
    message = refused("reconstruct", "-q", "good.png", "odd.png", "good.png", "-o", "out.png")
    assert "odd.png" in message
    assert "good.png" not in message


def test_a_file_over_the_limit_is_refused_before_it_is_read(here: Path, refused: Refused) -> None:
    with (here / "odd.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    message = refused("reconstruct", "-q", "odd.png", "-o", "out.png")
    assert "odd.png is larger than 100 MiB" in message


# ------------------------------------------------- paths that are not pictures


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.png", "does not exist"),
        ("folder.png", "no pictures"),
        ("pipe.png", "a pipe, a socket or a device, not a file"),
        ("loop.png", "symbolic links"),
        ("x" * 300 + ".png", "too long"),
    ],
)
def test_a_path_that_is_not_a_file_is_refused(
    here: Path, refused: Refused, command: str, name: str, reason: str
) -> None:
    (here / "folder.png").mkdir()
    os.mkfifo(here / "pipe.png")
    (here / "loop.png").symlink_to("loop.png")
    message = refused(command, "-q", name, "-o", "out.png")
    assert name in message
    assert reason in message


CONFIG_READERS = [
    ("train", "--config", "x.toml"),
    ("train", "--dry-run", "--config", "x.toml"),
    ("sweep", "beta=1,2", "--config", "x.toml"),
    ("config", "show", "x.toml"),
    ("reproduce", "x.toml"),
    ("train", "--data", "x.toml"),
    ("data", "x.toml"),
]


@pytest.mark.parametrize("make", SPECIAL_FILES)
def test_a_pipe_a_socket_or_a_device_in_place_of_settings_is_refused_and_not_waited_for(
    here: Path, refused: Refused, make: Callable[[Path], None]
) -> None:
    make(Path("x.toml"))
    (here / "runs/odd").mkdir()
    (here / "runs/odd/best.safetensors").symlink_to(here / "runs/small/best.safetensors")
    make(Path("runs/odd/config.toml"))
    for words in CONFIG_READERS:
        assert refused(*words).startswith("x.toml is a pipe, a socket or a device"), words
    for command in ("config show odd", "config show runs/odd"):
        message = refused(*command.split())
        assert message.startswith("runs/odd/config.toml is a pipe, a socket or a device"), command


def test_a_run_whose_settings_are_a_pipe_is_listed_and_used(here: Path, use: Use) -> None:
    (here / "runs/odd").mkdir()
    (here / "runs/odd/best.safetensors").symlink_to(here / "runs/small/best.safetensors")
    for name in ("config.toml", "metrics.csv", "evaluation.json"):
        os.mkfifo(here / "runs/odd" / name)
    assert "odd" in use("runs").out
    use("sample", "--run", "odd", "-n", 1, "-q", "-o", "out.png")


def test_all_pictures_of_a_folder_are_read_in_the_order_of_their_names(
    here: Path, use: Use
) -> None:
    (here / "photos").mkdir()
    for name in ("b.png", "a.jpg", ".hidden.png"):
        Image.new("L", (9, 9)).save(here / "photos" / name)
    (here / "photos" / "notes.txt").touch()
    lines = use("reconstruct", "photos").out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["a.jpg", "b.png"]


# ----------------------------------------------------------------- the output


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize("name", ["x.bmp", "x", "x.png.bak", ".png", "folder/"])
def test_an_output_with_another_extension_is_refused(
    refused: Refused, command: str, name: str
) -> None:
    animation = ", .gif or .webp for an animation" if command in ANIMATORS else ""
    expected = f"--output {Path(name)}: end it with .png for pictures{animation}, .csv for rows"
    assert refused(command, "-o", name) == expected


@pytest.mark.parametrize("command", sorted(set(WRITERS) - set(ANIMATORS)))
@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_a_command_without_animations_refuses_one(
    refused: Refused, command: str, suffix: str
) -> None:
    assert "end it with .png for pictures, .csv for rows" in refused(command, "-o", f"x{suffix}")


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("output", ["in.png", "./in.png", "runs/../in.png", "link.png"])
def test_an_output_that_would_overwrite_the_input_is_refused(
    here: Path, refused: Refused, command: str, output: str
) -> None:
    picture = here / "in.png"
    Image.new("L", (8, 8), 99).save(picture)
    (here / "link.png").symlink_to("in.png")
    before = picture.read_bytes()
    message = refused(command, "in.png", "-o", output)
    assert message == f"--output {Path(output)} would overwrite what is read: write it elsewhere"
    assert picture.read_bytes() == before


@pytest.mark.parametrize("command", WRITERS)
def test_a_file_in_place_of_the_folder_of_the_output_is_named(
    here: Path, refused: Refused, command: str
) -> None:
    (here / "file").write_text("mine")
    message = refused(command, "-q", "-o", "file/deep/out.png", code=1)
    assert "file/deep/out.png" in message
    assert (here / "file").read_text() == "mine"


def test_a_folder_in_place_of_the_output_is_named(here: Path, refused: Refused) -> None:
    (here / "taken.png").mkdir()
    assert "taken.png" in refused("sample", "-q", "-o", "taken.png", code=1)


@pytest.mark.parametrize("command", WRITERS)
def test_a_full_disk_leaves_the_old_picture(
    here: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (here / "old.png").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    message = refused(command, "-q", "-o", "old.png", "--force", code=1)
    assert "old.png" in message
    assert "No space left" in message
    assert (here / "old.png").read_bytes() == b"old"


def test_an_object_in_a_photo_is_drawn_as_the_model_knows_it(
    here: Path, use: Use, refused: Refused
) -> None:
    photo = Image.new("L", (200, 150), 160)
    photo.paste(40, (20, 30, 60, 110))
    photo.save("photo.png")
    use("reconstruct", "photo.png", "--fit", "object", "--scale", 1, "--no-captions")
    with Image.open("reconstruct.png") as picture:
        tile = np.array(picture.convert("L"))[1:29, 1:29]
    assert tile[14, 14] == 255
    assert tile[:3].max() == 0
    rows, columns = np.nonzero(tile > 127)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (20, 10)
    for command in ("reconstruct", "traverse", "interpolate", "swap"):
        assert "--fit has no effect here" in refused(command, "--fit", "object")
    words = ("photo.png", "--fit", "object", "--invert")
    assert "leave out --fit object" in refused("reconstruct", *words)
    np.save("x.npy", np.zeros((2, 28, 28), np.uint8))
    assert "--fit object is for files of pictures" in refused("swap", "x.npy", "--fit", "object")
