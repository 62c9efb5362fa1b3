"""Tables as people have them, through every command: large means, and what a spreadsheet writes."""

import csv
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from support import Refused, Use
from torch.distributions import Normal, kl_divergence

from vae_cli import load
from vae_cli.data.batch import Batch
from vae_cli.explore.scene import build_scene
from vae_cli.model import TableCodec

QUICK = ("--epochs", 2, "--latent-dim", 2, "--hidden", 16, "--precision", "float32", "-q")


def read(path: str) -> np.ndarray:
    """The numbers of a table."""
    with Path(path).open(newline="") as file:
        return np.array(list(csv.reader(file))[1:], float)


AS_WRITTEN = {"rtol": 1e-12, "atol": 1e-8}  # with the digits that tell values of a column apart


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_rows_reach_the_model_in_float64_in_every_command_as_from_python(
    here: Path, use: Use, suffix: str
) -> None:
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
    np.testing.assert_allclose(read("r.csv")[:, 1:], wanted.items, **AS_WRITTEN)
    decoded = [list(one["decoded"].values()) for one in found]
    np.testing.assert_allclose(decoded, wanted.items)
    use("traverse", "--index", 3, "--offset", "0:1:1", "-o", "v.csv")
    np.testing.assert_allclose(read("v.csv")[:, 1:], wanted.items[3:], **AS_WRITTEN)
    use("interpolate", "--steps", 2, "-o", "i.csv")
    np.testing.assert_allclose(read("i.csv")[:, 2:], wanted.items[:2], **AS_WRITTEN)
    swapped = json.loads(use("swap", "--dim", "0,1", "--json", "-o", "s.csv").out)["exchanged"]
    pairs = [[one["first"], one["second"]] for one in swapped]
    np.testing.assert_allclose(pairs, mean[:2].T, rtol=1e-5)
    np.testing.assert_allclose(build_scene(model, model.test_set()).latents, mean, rtol=1e-6)

    use("embed", f"t{suffix}", "-o", "z.csv")
    use("score", f"t{suffix}", "-o", "strange.csv")
    codec = model.model.codec
    assert isinstance(codec, TableCodec)
    with torch.no_grad():
        found = model.model.posterior(Batch(codec.encode(torch.from_numpy(rows)))).features()
    expected = np.concatenate([found["mean"], found["log_variance"]], 1)
    np.testing.assert_allclose(read("z.csv"), np.c_[range(400), expected], rtol=1e-5, atol=1e-6)
    q = Normal(found["mean"].double(), (found["log_variance"].double() / 2).exp())
    costs = kl_divergence(q, Normal(0.0, 1.0)).sum(1)
    scores = {int(row["name"]): row for row in records("strange.csv")}
    assert len(scores) == 400
    written = [float(scores[number]["kl"]) for number in range(400)]
    np.testing.assert_allclose(written, costs, rtol=1e-4, atol=1e-6)


def records(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_that_learned_an_index_goes_on_with_it(here: Path, use: Use) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 2)).round(3).tolist()
    Path("t.csv").write_text(",x,y\n" + "".join(f"{n},{x},{y}\n" for n, (x, y) in enumerate(rows)))
    words = ("train", "--data", "t.csv", *QUICK)
    use(*words, "--set", "data.rules=1", "--name", "earlier")
    use("train", "--resume", "earlier", "--epochs", 3)
    assert load("earlier").spec.column_names == ("column 1", "x", "y")
    assert "index" not in use("reconstruct", "t.csv", "--run", "earlier").err
    with warnings.catch_warnings(action="default"):
        assert "column 1 is taken for an index and left out; rename" in use("data", "t.csv").err
        use(*words, "--name", "now")
    assert load("now").spec.column_names == ("x", "y")


@pytest.mark.filterwarnings("ignore:.*missing")
def test_rows_that_were_left_out_leave_their_numbers(here: Path, use: Use) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(200, 2)).round(4)
    holes = set(range(0, 200, 7))
    lines = [
        f"{'=x' if n % 3 else 'b'},{'' if n in holes else x},{y}"
        for n, (x, y) in enumerate(values.tolist())
    ]
    Path("t.csv").write_text("\n".join(["kind,x,label", *lines]) + "\n")
    words = ("--label", "kind", "--missing", "drop", *QUICK, "--name", "t")
    use("train", "--data", "t.csv", *words)
    model = load("t")

    use("embed", "-o", "z.csv")
    kinds = {row["name"]: row["label"] for row in records("z.csv")}
    assert set(kinds) == {str(n) for n in range(200) if n not in holes}
    preview = records("runs/t/reconstructions.csv")
    assert {row["name"]: row["vae label"] for row in preview}.items() <= kinds.items()
    for words in (("t.csv",), ("-n", 12)):
        out, _ = use("reconstruct", *words, "--json", "-o", "r.csv", "--force")
        rows, shown = records("r.csv"), json.loads(out)["images"]
        assert list(rows[0]) == ["name", "vae label", "x", "label"], "a column is called label"
        assert [row["name"] for row in rows] == [one["name"] for one in shown]
        assert all(kinds[row["name"]] == row["vae label"] for row in rows)
        originals = values[[int(row["name"]) for row in rows]]
        wanted = model.reconstruct(originals).items
        written = [[float(row["x"]), float(row["label"])] for row in rows]
        np.testing.assert_allclose(written, wanted, rtol=1e-4, atol=1e-6)
        assert [one["label"] for one in shown] == [row["vae label"].strip("'") for row in rows]
    assert len(rows) == 12
    Path("whole.csv").write_text("x,label\n1,2\n3,4\n")
    use("reconstruct", "whole.csv", "-o", "w.csv")
    assert list(records("w.csv")[0]) == ["x", "label"], "the rows are those of the file, in order"
    np.save("gaps.npy", np.array([[1, 2], [np.nan, 3], [4, 5.0]]))
    out, err = use("reconstruct", "gaps.npy", "-o", "g.csv", "--json")
    assert "a value is missing in 1 of 3 rows; they are left out" in err
    assert [one["image"] for one in json.loads(out)["images"]] == ["gaps.npy 0", "gaps.npy 2"]
    assert [row["name"] for row in records("g.csv")] == ["0", "2"]


@pytest.mark.parametrize("value", ["1e308", "-1e300"])
def test_a_value_that_float32_cannot_hold_is_refused_by_name(
    use: Use, refused: Refused, wine: Path, value: str
) -> None:
    header, *lines = (wine / "wine.csv").read_text().splitlines()
    far = ",".join([value, *lines[0].split(",")[1:]])
    Path("far.csv").write_text("\n".join([header, far, lines[1]]) + "\n")
    line = (
        f"the value {float(value):g} in column alcohol is too far from those that the model of wine"
    )
    words = ("--likelihood", "columns", "--set", "likelihood.normalization=standard")
    use("train", "--data", "wine.csv", *QUICK, *words, "--name", "standard")
    for words in (("reconstruct",), ("embed",), ("traverse",), ("interpolate",), ("swap",)):
        assert refused(*words, "far.csv", "--run", "standard", "-q").startswith(line)
        use(*words, "far.csv", "--run", "wine", "--force")  # a score is never so far
    Path("near.csv").write_text(Path("far.csv").read_text().replace(value, "5e-324"))
    for words in (("reconstruct",), ("embed",), ("traverse",), ("interpolate",), ("swap",)):
        use(*words, "near.csv", "--run", "standard", "--force")


def test_an_option_of_the_training_is_explained_where_it_is_no_option(refused: Refused) -> None:
    for words in (("reconstruct", "t.csv", "--missing", "drop"), ("embed", "--label", "kind")):
        assert refused(*words).endswith(
            "vae train takes it, and a run keeps what it was trained with"
        )
    assert "vae train" not in refused("sample", "--nothing")


@pytest.mark.filterwarnings("ignore:.*missing", "ignore:.*few")
@pytest.mark.parametrize(("missing", "label"), [("drop", True), ("mean", False)])
def test_a_table_with_holes_has_the_same_rows_in_every_command(
    here: Path, use: Use, missing: str, label: bool
) -> None:
    random = np.random.default_rng(1)
    rows = [[f"r{n}", "ab"[n % 2], *random.normal(size=3).round(3)] for n in range(90)]
    for n in range(0, 90, 7):
        rows[n][2 + n % 3] = ("", "NA", "#N/A", "-")[n % 4]
    with Path("t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "kind", "x", "y", "z"], *rows])
    choice = ("--label", "kind", "--drop", "id,z") if label else ("--drop", "id,kind,z")
    words = ("t.csv", *choice, "--missing", missing)
    use("data", *words)
    use("train", "--data", *words, *QUICK, "--name", "t")
    is_known = [missing == "mean" or n % 7 or n % 3 == 2 for n in range(90)]  # z is not learned
    expected = {str(n): "ab"[n % 2] if label else None for n in range(90) if is_known[n]}

    use("embed", "t.csv", "-o", "z.csv")
    use("score", "t.csv", "-o", "s.csv")
    shown = json.loads(use("reconstruct", "t.csv", "--json", "-o", "r.csv").out)["images"]
    for found in (records("z.csv"), records("s.csv"), shown):
        assert {row["name"]: row.get("label") for row in found} == expected
    assert len(records("r.csv")) == len(expected)
    for command in ("swap", "traverse", "interpolate"):
        use(command, "-o", f"{command}.csv")
    assert "nan" not in Path("interpolate.csv").read_text() + Path("z.csv").read_text()
    figures = json.loads(use("evaluate", "--samples", 2, "--json").out)["figures"]
    assert np.isfinite(figures["elbo"]["value"])
