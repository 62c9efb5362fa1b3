"""Pictures of unknown origin: each is read or refused on its own, within limits, in silence."""

import io
import logging
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import read_picture
from PIL import Image, ImageFile, PngImagePlugin, TgaImagePlugin, features

from vae_cli.data import picture, picture_files
from vae_cli.data.dataset import ignore_progress
from vae_cli.data.folder import PictureFolder
from vae_cli.data.folder_files import scan_pictures
from vae_cli.data.picture import Fitting, decode_picture
from vae_cli.data.picture_files import UnreadPictureError, decoders_silenced, read_header
from vae_cli.errors import UsageError

GREY = (1, 8, 8)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def open_folder(path: Path) -> PictureFolder:
    return PictureFolder(path, test_fraction=0.5, progress=ignore_progress)


def make_pictures(path: Path, count: int) -> Path:
    path.mkdir()
    for number in range(count):
        Image.new("L", (20, 20), 255 - number).save(path / f"{number:02}.png")
    return path


# ---------------------------------------------------------------------- orientation


def exif_with(tag: int, kind: int, value: bytes) -> bytes:
    """EXIF data that turn a picture by 90 degrees, and have one more tag of any type."""
    entries = [(0x0112, 3, 1, b"\6\0\0\0"), (tag, kind, 1, value)]
    packed = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + b"\0\0\0\0"


@pytest.mark.parametrize(
    ("tag", "kind", "value"),
    [
        (0x0100, 1, b"\0\0\0\0"),  # what each of them made Pillow's exif_transpose raise:
        (0x0100, 6, b"\xff\xff\xff\xff"),  # struct.error
        (0x010E, 5, b"\0\0\0\0"),  # AttributeError
        (0x8769, 6, b"\xff\xff\xff\xff"),  # ValueError
        (0x02BC, 11, b"\0\0\0\0"),  # TypeError
    ],
)
def test_a_picture_is_turned_though_pillow_cannot_write_its_other_tags(
    tmp_path: Path, tag: int, kind: int, value: bytes
) -> None:
    image = Image.new("L", (40, 20), 0)
    image.paste(255, (0, 0, 20, 20))  # white on the left, and on top once it is turned
    image.save(tmp_path / "a.jpg", exif=exif_with(tag, kind, value), quality=95)
    pixels = read_picture(tmp_path / "a.jpg", (1, 8, 4)).pixels[0]
    assert pixels[:3].min() > 200
    assert pixels[5:].max() < 55


def test_a_tiff_is_turned_once_and_its_header_gives_the_displayed_size(tmp_path: Path) -> None:
    image = Image.new("L", (40, 20), 0)
    image.paste(255, (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.tif", exif=exif)
    assert read_header(tmp_path / "a.tif") == (20, 40, "L", False)
    pixels = read_picture(tmp_path / "a.tif", (1, 8, 4)).pixels[0]
    assert pixels[:3].min() > 200
    assert pixels[5:].max() < 55


# ---------------------------------------------------------------------- what a decoder raises


def raise_at(monkeypatch: pytest.MonkeyPatch, names: set[str], error: BaseException) -> None:
    """Make Pillow raise an error whenever it decodes one of some files."""
    load = ImageFile.ImageFile.load
    last: dict[int, str] = {}  # the file that each thread has opened

    def read_file(path: Path, limit: int) -> bytes:
        last[threading.get_ident()] = path.name
        return path.read_bytes()

    def failing(self: ImageFile.ImageFile) -> object:
        if last.get(threading.get_ident()) in names:
            raise error
        return load(self)

    monkeypatch.setattr(picture_files, "read_file", read_file)
    monkeypatch.setattr(ImageFile.ImageFile, "load", failing)


@pytest.mark.parametrize(
    "error",
    [
        IndexError("list index out of range"),
        RuntimeError("decoder\nof two lines"),
        struct.error("unpack"),
        AttributeError("x"),
        ZeroDivisionError(),
        RecursionError(),
        OSError("unrecognized data stream"),
    ],
)
def test_whatever_a_decoder_raises_is_the_failure_of_that_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    make_pictures(tmp_path / "all", 6)
    raise_at(monkeypatch, {"03.png"}, error)
    dataset = open_folder(tmp_path / "all")
    with pytest.warns(UserWarning, match="1 of 6 pictures cannot be read"):
        assert len(dataset.train()) + len(dataset.test()) == 5
    with pytest.raises(UsageError, match=r"03\.png is damaged") as refusal:
        read_picture(tmp_path / "all/03.png", GREY)
    assert "\n" not in str(refusal.value)
    assert refusal.value.__cause__ is error


def test_an_interruption_is_not_taken_for_a_damaged_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pictures(tmp_path / "all", 2)
    raise_at(monkeypatch, {"00.png"}, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        read_picture(tmp_path / "all/00.png", GREY)


def test_full_memory_says_nothing_about_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pictures(tmp_path / "all", 2)
    raise_at(monkeypatch, {"00.png"}, MemoryError())
    with pytest.raises(UnreadPictureError, match=r"00\.png: the memory is full"):
        read_picture(tmp_path / "all/00.png", GREY)


# ---------------------------------------------------------------------- formats


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 20 20
%%EndComments
showpage
%%EOF
"""


def test_no_program_is_started_for_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    ghostscript = tmp_path / "bin/gs"
    ghostscript.write_text(f"#!/bin/sh\necho 10.0\ntouch {tmp_path}/started\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    (tmp_path / "a.png").write_bytes(EPS)
    with pytest.raises(UsageError, match=r"a\.png is not a picture of a known format"):
        read_picture(tmp_path / "a.png", GREY)
    assert read_header(tmp_path / "a.png") is None
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("format_name", ["ICO", "TGA", "PCX", "SGI", "DDS"])
def test_a_format_that_is_not_documented_is_refused(tmp_path: Path, format_name: str) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png", format_name)
    with pytest.raises(UsageError, match=r"a\.png is not a picture of a known format"):
        read_picture(tmp_path / "a.png", GREY)


def test_a_png_may_have_a_large_profile_and_a_long_text(tmp_path: Path) -> None:
    limit, noise = PngImagePlugin.MAX_TEXT_CHUNK, np.random.default_rng(0).bytes(3 * 2**20)
    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", "x" * 3 * 2**20, zip=True)
    text.add_itxt("workflow", "x" * 3 * 2**20, zip=True)
    picture = Image.new("L", (16, 16), 99)
    picture.save(tmp_path / "a.png", icc_profile=noise, pnginfo=text)
    assert read_picture(tmp_path / "a.png", GREY).pixels.unique().tolist() == [99]
    assert limit == PngImagePlugin.MAX_TEXT_CHUNK


def test_pictures_of_other_formats_are_counted_with_what_would_open_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_pictures(tmp_path / "all", 2)
    for name in ("a.heic", "b.HEIC", "c.svg", "d.avif", "notes.txt"):
        (folder / name).touch()
    monkeypatch.setattr(picture_files, "known_formats", lambda: picture_files.FORMATS)
    files, (warning,) = scan_pictures(folder)
    assert [file.name for file in files] == ["00.png", "01.png", "d.avif"]
    assert warning.endswith(
        "in formats that are not read, and left out: "
        "2 .heic (pip install pillow-heif), 1 .svg (convert to PNG)"
    )
    monkeypatch.setattr(features, "check", lambda _: False)
    files, (warning,) = scan_pictures(folder)
    assert len(files) == 2
    assert "1 .avif (pip install -U pillow)" in warning
    assert scan_pictures(folder, version=1).warnings == []


def test_heic_is_read_if_pillow_heif_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plug-in of another format stands for that of HEIC."""

    def register() -> None:
        Image.register_open("HEIF", TgaImagePlugin.TgaImageFile)

    Image.new("L", (16, 16), 99).save(tmp_path / "a.heic", "TGA")
    plugin = SimpleNamespace(register_heif_opener=register)
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    monkeypatch.setattr(picture_files, "known_formats", picture_files.known_formats.__wrapped__)
    (file,) = scan_pictures(tmp_path).files
    assert read_picture(tmp_path / file.name, GREY).pixels.unique().tolist() == [99]


# ---------------------------------------------------------------------- silence


def rgb_tiff(pixels: np.ndarray, order: str) -> bytes:
    """A TIFF without compression of `(H, W, 3)`, which Pillow writes for bytes only."""
    height, width, channels = pixels.shape
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    bits, places = 8 * pixels.itemsize, 8 + 2 + 10 * 12 + 4
    entries = [
        *((256, 1, width), (257, 1, height), (258, channels, places), (259, 1, 1), (262, 1, 2)),
        *((273, 1, places + 12), (277, 1, channels), (278, 1, height), (279, 1, pixels.nbytes)),
        (339, channels, places + 6),
    ]
    long = order + "I"
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(long, 8)
    table = struct.pack(order + "H", len(entries))
    for tag, count, value in entries:
        form = "HHII" if count > 1 or tag in {273, 279} else "HHIHxx"
        table += struct.pack(order + form, tag, 4 if tag in {273, 279} else 3, count, value)
    facts = struct.pack(order + "6H", *[bits] * 3, *[kind] * 3)
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    return header + table + struct.pack(long, 0) + facts + data


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_that_pillow_cannot_open_is_named_as_what_it_is(tmp_path: Path, order: str) -> None:
    pixels = np.random.default_rng(0).random((8, 8, 3))
    path = tmp_path / "a.tif"
    path.write_bytes(rgb_tiff((pixels * 255).astype("u1"), order))
    expected = (pixels[..., 0] * 255).astype("u1").tolist()
    assert read_picture(path, (3, 8, 8)).pixels[0].tolist() == expected, "the writer is right"
    for kind, name in (("f4", "32-bit floats"), ("f8", "64-bit floats"), ("i4", "32-bit whole")):
        path.write_bytes(rgb_tiff(pixels.astype(kind), order))
        with pytest.raises(UsageError, match=f"a.tif is a TIFF of 3 channels of {name}"):
            read_picture(path, (3, 8, 8))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UsageError, match=r"a\.tif is (not a picture|damaged)"):
        read_picture(path, (3, 8, 8))


def make_noisy_tiff(path: Path) -> Path:
    """A picture at which libtiff writes lines to file descriptor 2."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("1").save(buffer, "TIFF", compression="group4")
    content = bytearray(buffer.getvalue())
    content[60:120:7] = bytes(len(content[60:120:7]))
    path.write_bytes(content)
    return path


def test_libtiff_writes_nothing_to_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make_noisy_tiff(make_pictures(tmp_path / "all", 5) / "noisy.tif")
    Image.open(path).convert("L")
    assert "Decode" in capfd.readouterr().err, "without the silence, libtiff writes"
    read_picture(path, GREY)
    read_header(path)
    open_folder(tmp_path / "all").train()
    assert not capfd.readouterr().err
    os.write(2, b"the terminal is back")
    assert capfd.readouterr().err == "the terminal is back"


def test_the_loggers_of_pillow_are_silent_and_get_their_level_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("PIL")
    before = logger.level
    with decoders_silenced():
        logging.getLogger("PIL.TiffImagePlugin").error("too many samples")
    assert logger.level == before
    assert not caplog.records


def test_two_threads_that_read_pictures_leave_the_terminal_as_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = sorted(make_pictures(tmp_path / "all", 8).iterdir())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: read_picture(path, GREY), files * 8))
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


def test_a_closed_terminal_is_no_obstacle(tmp_path: Path) -> None:
    (path,) = make_pictures(tmp_path / "all", 1).iterdir()
    script = (
        "import os, sys; from pathlib import Path; from vae_cli.data.picture import *; "
        "os.close(2); "
        "picture = read_picture(Path(sys.argv[1]), Fitting((1, 8, 8))); "
        "print(picture.pixels.sum().item())"
    )
    command = [sys.executable, "-c", script, str(path)]
    assert subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout == b"16320\n"


# ---------------------------------------------------------------------- limits


def test_a_long_picture_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (1_000_001, 1)).save(tmp_path / "a.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(UsageError, match=r"a\.png has more than .* 1 million on a side"):
        read_picture(tmp_path / "a.png", GREY)


@pytest.mark.parametrize("limit", ["LARGE_PIXELS", "LARGE_BYTES"])
def test_large_pictures_are_decoded_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    files = sorted(make_pictures(tmp_path / "all", 8).iterdir())
    upright, inside, most = picture._upright, [], []

    def slow(*arguments: object) -> object:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.01)
        inside.pop()
        return upright(*arguments)  # type: ignore[arg-type]

    def decode_all() -> int:
        most.clear()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda path: decode_picture(path, Fitting(GREY)), files))
        return max(most)

    monkeypatch.setattr(picture, "_upright", slow)
    assert decode_all() > 1
    monkeypatch.setattr(picture_files, limit, 10)
    assert decode_all() == 1


def uint16(values: np.ndarray) -> Image.Image:
    return Image.fromarray((values * 65535).round().astype(np.uint16))


DEEP: dict[str, Callable[[np.ndarray], Image.Image]] = {
    "I;16": uint16,
    "I": lambda values: Image.fromarray((values * 65535).round().astype(np.int32)),
    "F": lambda values: Image.fromarray(values.astype(np.float32)),
}


@pytest.mark.parametrize("mode", DEEP)
@pytest.mark.parametrize("strip", [7, 20, 64, 2**20])
def test_deep_pictures_are_the_same_whatever_the_size_of_a_strip(
    monkeypatch: pytest.MonkeyPatch, mode: str, strip: int
) -> None:
    values = np.random.default_rng(0).random((9, 20))
    monkeypatch.setattr(picture, "STRIP_VALUES", strip)
    image = DEEP[mode](values)
    assert image.mode == mode
    white = 1 if mode == "F" else 65535
    converted = np.asarray(picture._to_eight_bits(image, (0, white)))
    assert np.abs(converted - values * 255).max() < 0.51


READ_AND_MEASURE = """
import resource, sys
from pathlib import Path
from vae_cli.data.picture import Fitting, read_picture
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
read_picture(Path(sys.argv[1]), Fitting((1, 28, 28)))
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units")
def test_a_deep_picture_needs_a_few_bytes_per_pixel(tmp_path: Path) -> None:
    pixels = 6000 * 6000
    Image.fromarray(np.zeros((6000, 6000), np.uint16)).save(tmp_path / "a.png")
    command = [sys.executable, "-c", READ_AND_MEASURE, str(tmp_path / "a.png")]
    kilobytes = int(subprocess.run(command, capture_output=True, check=True).stdout)
    assert kilobytes * 1024 < 6 * pixels
