"""Small files that claim to be large are refused in one line, soon, and without their memory."""

import json
import random
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import ProcessorTime

from vae_cli.data.catalogue import open_dataset
from vae_cli.data.dataset import ignore_progress
from vae_cli.data.picture import Fitting, read_picture
from vae_cli.data.source import find_source
from vae_cli.errors import UsageError, VAEError
from vae_cli.runs.checkpoint import load_checkpoint

Times = Callable[[int, int], int]
MAX_GROWTH = 64 * 2**20  # bytes; the files themselves have less than a kilobyte
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures memory with /proc")


def peak_memory(*, reset: bool = False) -> int:
    """The largest resident memory of this process since the last reset, in bytes."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def claim_shape(draw: random.Random) -> tuple[int, ...]:
    """A shape of far more numbers than fit into memory, or of none, or of one that overflows."""
    kind = draw.randrange(3)
    count = draw.randrange(1, 5)
    shape = [draw.choice([1, 3, 28, 1000]) for _ in range(count)]
    shape.insert(draw.randrange(count), 10 ** draw.randrange(11, 18))
    if kind == 1:
        shape.insert(draw.randrange(len(shape)), 0)
    if kind == 2:
        shape.insert(draw.randrange(len(shape)), 2 ** draw.randrange(40, 64))
    return tuple(shape)


def npy(draw: random.Random) -> bytes:
    kind = draw.choice(["|u1", "<f4", "<f8", "<i8", ">f8", "<u2"])
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {claim_shape(draw)}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def write_npz(path: Path, draw: random.Random) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy(draw))


def safetensors(draw: random.Random) -> bytes:
    kind = draw.choice(["U8", "F32", "BF16", "I64"])
    end = draw.choice([0, 8, 10**15])
    tensor = {"dtype": kind, "shape": claim_shape(draw), "data_offsets": [0, end]}
    facts = {"__metadata__": {"sha256": "0" * 64, "vae": "{}"}} if draw.random() < 0.5 else {}
    header = json.dumps({"x": tensor, **facts}).encode()
    length = draw.choice([len(header), len(header), 2**62, 10**9])
    return struct.pack("<Q", length) + header


def picture(draw: random.Random) -> bytes:
    wide, high = (10 ** draw.randrange(5, 9) for _ in range(2))
    match draw.randrange(3):
        case 0:
            header = struct.pack(">II5B", wide, high, draw.choice([8, 16]), 2, 0, 0, 0)
            body = zlib.compress(b"\0" * 500)
            chunks = [(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")]
            return b"\x89PNG\r\n\x1a\n" + b"".join(
                struct.pack(">I", len(data))
                + name
                + data
                + struct.pack(">I", zlib.crc32(name + data))
                for name, data in chunks
            )
        case 1:
            return f"P6 {wide} {high} 255\n".encode() + b"x" * 300
        case _:
            head = struct.pack("<IiiHHIIiiII", 40, wide, high, 1, 24, 0, 0, 0, 0, 0, 0)
            return b"BM" + struct.pack("<IHHI", 400, 0, 0, 54) + head + b"x" * 300


def use_dataset(path: Path) -> None:
    dataset = open_dataset(find_source(str(path)), test_fraction=0.5, progress=ignore_progress)
    dataset.train()


def use_picture(path: Path) -> None:
    read_picture(path, Fitting((1, 28, 28)))


CLAIMS: dict[str, tuple[Callable[[random.Random], bytes], Callable[[Path], object]]] = {
    "x.npy": (npy, use_dataset),
    "x.safetensors": (safetensors, use_dataset),
    "last.safetensors": (safetensors, load_checkpoint),
    "x.png": (picture, use_picture),
}


@pytest.mark.parametrize("name", [*CLAIMS, "x.npz"])
def test_a_small_file_that_claims_to_be_large_is_refused_without_its_memory(
    tmp_path: Path, times: Times, name: str
) -> None:
    draw, path = random.Random(name), tmp_path / name
    make, use = CLAIMS.get(name, (npy, use_dataset))
    honest, read, refused = tmp_path / "honest.npy", ProcessorTime(), ProcessorTime()
    np.save(honest, np.random.default_rng(0).integers(0, 256, (3000, 28, 28), np.uint8))
    for _ in range(times(20, 1_000)):
        with read:
            use_dataset(honest)
        if name == "x.npz":
            write_npz(path, draw)
        else:
            path.write_bytes(make(draw))
        before = peak_memory(reset=True)
        with refused, pytest.raises(VAEError) as refusal:
            use(path)
        assert "\n" not in str(refusal.value)
        assert peak_memory() - before < MAX_GROWTH
    assert refused.mean < 20 * read.mean


LARGE_TABLE = 20_000_000  # bytes


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["1", "0.123456", "-1e-300", "12345678901234567890"])
def test_a_table_takes_eight_bytes_a_value(tmp_path: Path, cell: str) -> None:
    path, columns = tmp_path / "t.csv", 40
    line = ",".join([cell] * columns) + "\n"
    rows = LARGE_TABLE // len(line)
    path.write_text(line * rows)
    before = peak_memory(reset=True)
    with pytest.raises(UsageError, match="all equal"):  # all rows are the same
        use_dataset(path)
    values = 8 * columns * rows
    assert peak_memory() - before < 1.25 * values + MAX_GROWTH


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the first line", "ignore:t.csv")
def test_a_changed_table_is_read_or_refused_with_one_line(tmp_path: Path, times: Times) -> None:
    draw, path = random.Random(5), tmp_path / "t.csv"
    good = "a;b;c\n" + "".join(f"{n},5;{n * n};{-n}e-3\n" for n in range(40))
    alphabet = "0123456789.,;\t\"'\n\r eE+-_nan\0é\ufeff="
    read = refused = 0
    for _ in range(times(400, 20_000)):
        text = list(good)
        for _ in range(draw.choice([1, 1, 2, 8])):
            at = draw.randrange(len(text))
            text[at : at + draw.choice([0, 1, 1, 9])] = draw.choices(alphabet, k=draw.randrange(4))
        path.write_text("".join(text), newline="")
        try:
            use_dataset(path)
        except UsageError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            read += 1
    assert read
    assert refused
