"""Tables as people have them, through every command: large means, and what a spreadsheet writes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from support import Use

from vae_cli import load
from vae_cli.explore.scene import build_scene

QUICK = ("--epochs", 2, "--latent-dim", 2, "--hidden", 16, "--precision", "float32", "-q")


def read(path: str) -> np.ndarray:
    """The numbers of a table."""
    with Path(path).open(newline="") as file:
        return np.array(list(csv.reader(file))[1:], float)


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_test_items_reach_the_model_in_float64(here: Path, use: Use, suffix: str) -> None:
    random = np.random.default_rng(0)
    times = 1.7e9 + 10 * random.normal(size=400)
    rows = np.stack([times.round(), random.random(400).round(4)], 1)
    if suffix == ".csv":
        np.savetxt("t.csv", rows, delimiter=",", header="t,y", comments="", fmt="%.10g")
    else:
        np.save("t.npy", rows)
    use("train", "--data", f"t{suffix}", *QUICK, "--name", "t")
    model = load("t")
    test = model.held_out()
    items = test.items[test.rows].numpy()
    assert items.dtype == np.float64
    wanted, mean = model.reconstruct(items[:4]), model.encode(items).mean

    found = json.loads(use("reconstruct", "-n", 4, "--json", "-o", "r.csv").out)["images"]
    np.testing.assert_allclose([one["nll"] for one in found], wanted.distortion, rtol=1e-6)
    np.testing.assert_allclose([one["kl"] for one in found], wanted.kl, rtol=1e-6)
    np.testing.assert_allclose(read("r.csv"), wanted.items, rtol=1e-9)
    use("traverse", "--index", 3, "--offset", "0:1:1", "-o", "v.csv")
    np.testing.assert_allclose(read("v.csv")[:, 1:], wanted.items[3:], rtol=1e-9)
    use("interpolate", "--steps", 2, "-o", "i.csv")
    np.testing.assert_allclose(read("i.csv")[:, 2:], wanted.items[:2], rtol=1e-9)
    swapped = json.loads(use("swap", "--dim", "0,1", "--json", "-o", "s.csv").out)["exchanged"]
    pairs = [[one["first"], one["second"]] for one in swapped]
    np.testing.assert_allclose(pairs, mean[:2].T, rtol=1e-5)
    np.testing.assert_allclose(build_scene(model, test).latents, mean, rtol=1e-6)
