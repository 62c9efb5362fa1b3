"""Arrays and tables: read as what they are, or refused with the place that is wrong."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from vae_cli.data import moments, table
from vae_cli.data.arrays import Arrays
from vae_cli.data.table import Table
from vae_cli.errors import UsageError


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((30, 20, 24), (1, 20, 24)),
        ((30, 20, 24, 3), (3, 20, 24)),
        ((30, 3, 20, 24), (3, 20, 24)),
        ((30, 20, 24, 1), (1, 20, 24)),
        ((30, 5), (5,)),
    ],
)
def test_the_layout_is_told_from_the_shape(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    array = pixels(*shape)
    data = Arrays(saved(tmp_path / "x.npy", array), test_fraction=0.3)
    assert data.spec.shape == expected
    rows = torch.cat([data.train().rows, data.test().rows]).sort().values
    assert rows.equal(torch.arange(30))
    if shape == (30, 20, 24, 3):
        assert data.items[4, 2, 7, 9] == array[4, 7, 9, 2]


def test_the_three_formats_give_the_same(tmp_path: Path) -> None:
    array, labels = pixels(20, 16, 16), np.arange(20) % 4
    np.savez(tmp_path / "x.npz", images=array, labels=labels)
    save_file({"images": array, "labels": labels}, tmp_path / "x.safetensors")
    one = Arrays(saved(tmp_path / "x.npy", array), test_fraction=0.3)
    for name in ("x.npz", "x.safetensors"):
        other = Arrays(tmp_path / name, test_fraction=0.3)
        assert other.items.equal(one.items)
        assert other.train().rows.equal(one.train().rows)
        assert other.spec.classes == ("0", "1", "2", "3")
        assert other.test().labels.equal(torch.from_numpy(labels)[other.test().rows])


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((9, 4, 4), 1.5, np.float32), r"1\.5 at row 0, pixel .* not in \[0, 1\]"),
        (np.full((9, 4, 4), np.nan), "nan at row 0"),
        (np.array([[1.0, 2.0], [3.0, np.inf]]), r"inf at row 1, column \[1\] is not finite"),
        (np.zeros((9, 4, 4), np.int64), "images are uint8, or floats"),
        (np.zeros((9, 5, 5, 7), np.uint8), "1 to 4 channels"),
        (np.zeros(9, np.uint8), "vectors N x D"),
        (np.array([{"a": 1}, {}], dtype=object), "cannot read"),
        (np.array([["a", "b"]]), "cannot read"),
    ],
)
def test_what_is_no_image_and_no_vector_is_refused_with_its_place(
    tmp_path: Path, array: np.ndarray, reason: str
) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(UsageError, match=reason):
        Arrays(tmp_path / "x.npy", test_fraction=0.3).train()


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.safetensors"])
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x93NUMPY\x01\x00garbage")
    with pytest.raises(UsageError, match="cannot read") as refusal:
        Arrays(tmp_path / name, test_fraction=0.3)
    assert "\n" not in str(refusal.value)


def test_appended_items_move_none_from_one_side_to_the_other(tmp_path: Path) -> None:
    array = pixels(300, 8, 8)
    held = [
        set(Arrays(saved(tmp_path / "x.npy", some), test_fraction=0.2).test().rows.tolist())
        for some in (array[:200], array)
    ]
    assert held[0] == {row for row in held[1] if row < 200}


BIGGER_THAN_MEMORY = """
import resource, sys
import torch
from vae_cli import build, config, experiment
from vae_cli.data import arrays
words = [line.split() for line in open("/proc/self/status")]
used = 1024 * next(int(word[1]) for word in words if word[0] == "VmData:")
limit = used + (400 << 20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
words = {"data": {"name": sys.argv[1], "test_fraction": 0.01}}
words |= {"model": {"network": "mlp", "hidden": [64]}}
words |= {"training": {"epochs": 1, "precision": "float32"}}
settings = config.resolve(("", words))
prepared = experiment.prepare(settings, torch.device("cpu"), lambda *_: None)
assert prepared.train.items.nbytes > 2 * (400 << 20)
state = build.state(prepared.settings, prepared.spec.shape, torch.device("cpu"))
learn = prepared.train.head(20_000), prepared.test
experiment.learn(state, prepared.settings, *learn, print, lambda *_: None)
try:
    torch.empty(500 << 20, dtype=torch.uint8)
except RuntimeError:
    print("and the limit holds")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_array_larger_than_memory_is_trained_on_from_the_disk(tmp_path: Path) -> None:
    """1.1 GB of images, where 0.4 GB are left for all that is not a file."""
    path = tmp_path / "large.npy"
    large = np.lib.format.open_memmap(path, "w+", np.uint8, (70_000, 128, 128))
    large[::7] = np.arange(10_000, dtype=np.uint32).astype(np.uint8)[:, None, None]
    large.flush()
    script = [sys.executable, "-c", BIGGER_THAN_MEMORY, str(path)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "EpochReport" in done.stdout
    assert "and the limit holds" in done.stdout


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b\n1,2\n3,4\n5,6\n", ("a", "b")),
        ("1,2\n3,4\n5,6\n", ("column 1", "column 2")),
        ("a;b\n1;2\n3;4\n5;6\n", ("a", "b")),
        ('\ufeff"a, x",b\r\n1,2\r\n3,4\r\n\r\n5,6', ("a, x", "b")),
    ],
)
def test_tables_come_with_a_header_or_without(
    tmp_path: Path, text: str, columns: tuple[str, ...]
) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    names, rows = table.read(tmp_path / "t.csv")
    assert names == columns
    assert rows.tolist() == [[1, 2], [3, 4], [5, 6]]
    (tmp_path / "t.tsv").write_text("a\tb\n1\t2\n3\t4\n5\t6\n")
    assert table.read(tmp_path / "t.tsv")[1].equal(rows)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,x\n", "row 2, column b: 'x' is not a number"),
        ("a,b\n1,2\n3,\n", "row 3, column b: a value is missing"),
        ("a,b\n1,nan\n", "row 2, column b: 'nan' is not a number"),
        ("a,b\n1,2\n3\n", "row 3 has 1 cells, not 2"),
        ("a,b\n", "a header and no rows"),
        ("", "is empty"),
        ("\x00\x01", "'\\\\x00|is not a table|a header and no rows"),
    ],
)
def test_a_cell_that_is_no_number_is_named_by_row_and_column(
    tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UsageError, match=reason):
        table.read(tmp_path / "t.csv")


def test_a_written_table_reads_back(tmp_path: Path) -> None:
    rows = torch.tensor([[1.5, -2e-9], [3e12, 0.1]], dtype=torch.float64)
    for name in ("t.csv", "t.tsv"):
        table.write(tmp_path / name, ["a, b", "c"], rows)
        columns, again = table.read(tmp_path / name)
        assert columns == ("a, b", "c")
        torch.testing.assert_close(again, rows, rtol=1e-6, atol=0)


def test_moments_are_those_of_the_training_rows_alone(tmp_path: Path) -> None:
    lines = [f"{n},{n * n},7" for n in range(50)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    part = Table(tmp_path / "t.csv", test_fraction=0.3).train()
    mean, scale = moments(part, chunk=11)
    rows = part.items[part.rows]
    torch.testing.assert_close(mean, rows.mean(0).float())
    torch.testing.assert_close(scale[:2], rows.std(0, correction=0)[:2].float())
    assert scale[2] == 1
