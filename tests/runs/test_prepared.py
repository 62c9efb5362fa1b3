"""The data of a training by several processes: the same as those of one, and in memory once."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import csv, parquet
from safetensors.numpy import save_file

from vae_cli.data import shared_memory

# Resolves each data set, and prints what a training would see of it, and the private memory that
# it takes. Then it waits, so that the others may still map what it has.
READER = """
import hashlib, json, sys, warnings
from pathlib import Path
import torch
import vae_cli.data.memory
from vae_cli.runs.resolve import resolve
from vae_cli.runs.train import train_run
from vae_cli.settings import merge
vae_cli.data.memory.IN_MEMORY = 2**20  # larger arrays are memory-mapped
def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    known = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return (known["Private_Clean"] + known["Private_Dirty"]) * 1024
def digest(*tensors):
    return hashlib.sha256(b"".join(t.contiguous().numpy().tobytes() for t in tensors)).hexdigest()
kept, found = [], {}
for name in sys.argv[1:]:
    before = private()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer = {"data": {"name": name}, "training": {"device": "cpu", "precision": "float32"}}
        resolved = resolve(merge(("test", layer)), torch.device("cpu"))
    taken = private() - before
    kept.append(resolved)
    parts = {}
    for split in (resolved.train, resolved.test):
        x = split.network_input(split.rows)
        hashes = split.rows if split.hashes is None else split.hashes
        parts[len(parts)] = [list(x.shape), digest(x, split.labels, hashes)]
    found[Path(name).name] = {
        "parts": parts, "digest": resolved.data_digest, "config": repr(resolved.config),
        "codec": digest(*(t for _, t in sorted(resolved.codec.state_dict().items()))),
        "texts": {title: list(texts) for title, texts in resolved.texts.items()},
        "warnings": sorted({str(w.message) for w in caught}), "bytes": taken,
        "items": resolved.train.items.nbytes + resolved.test.items.nbytes,
    }
print(json.dumps(found), flush=True)
sys.stdin.readline()
"""


def make_data(folder: Path) -> list[str]:
    """One data set of each kind, of some mebibytes where memory is measured."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (20_000, 3, 16, 16), np.uint8)
    np.save(folder / "small.npy", images[:1000])
    np.save(folder / "mapped.npy", images)
    np.savez(folder / "x.npz", images=images, labels=np.arange(len(images)) % 3)
    save_file({"images": images}, folder / "mapped.safetensors")
    np.save(folder / "floats.npy", draw.random((2000, 8, 8)).astype(np.float32))
    numbers = draw.normal(size=(20_000, 20)).round(3)
    numbers[::7, 3] = np.nan
    columns = {f"x{place}": pa.array(numbers[:, place], from_pandas=True) for place in range(20)}
    table = pa.table(columns | {"kind": pa.array(draw.choice(["a", "b", "c"], 20_000))})
    parquet.write_table(table, folder / "x.parquet")
    csv.write_csv(table, folder / "x.csv")
    (folder / "pictures").mkdir()
    for place in range(40):
        Image.fromarray(images[place].transpose(1, 2, 0)).save(folder / f"pictures/{place}.png")
    (folder / "pictures" / "broken.png").write_bytes(b"no picture")
    return [*map(str, sorted(folder.iterdir())), "fashion-mnist"]


def resolve_in(count: int, names: Sequence[str]) -> list[dict[str, dict[str, object]]]:
    """What each of `count` processes prints."""
    processes = []
    try:
        for rank in range(count):
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count}
            place |= {"LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1"}
            place |= {"MASTER_PORT": os.getpid()}
            known = {name: str(value) for name, value in place.items()} if count > 1 else {}
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", READER, *names],
                    env=os.environ | known | {"OMP_NUM_THREADS": "1"},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        lines = [process.stdout.readline() for process in processes if process.stdout]
        for process in processes:
            process.communicate("\n", timeout=60)
        return [json.loads(line) for line in lines]
    finally:
        for process in processes:
            process.kill()
            process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.skipif(not shared_memory.HAS_MEMORY_FILES, reason="only Linux has files in memory")
def test_two_processes_have_the_data_of_one_and_hold_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    data = tmp_path / "data"
    data.mkdir()
    names = make_data(data)
    (alone,) = resolve_in(1, names)
    (tmp_path / "cache").rename(tmp_path / "other")
    both = resolve_in(2, names)
    for name, expected in alone.items():
        for found in both:
            for key in expected.keys() - {"bytes", "items"}:
                assert found[name][key] == expected[key], (name, key)
    taken = sum(min(int(str(found[name]["bytes"])) for found in both) for name in alone)
    items = sum(int(str(one["items"])) for one in alone.values())
    assert items > 60 * 2**20
    assert taken < 0.2 * items, f"{taken} bytes of {items}: one of two maps what the other has"
    assert not list((tmp_path / "cache").glob("shared-*"))
