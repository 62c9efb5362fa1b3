"""`vae embed`: every item's posterior, under its own name, in three formats, and a map of them."""

import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import VAE, Refused, Use, call
from pictures import digits, patches, table
from PIL import Image
from pyarrow import parquet

from vae_cli import build, embedding, images, load, plot
from vae_cli.data import gather
from vae_cli.embedding import Embedding
from vae_cli.errors import UsageError

Arrays = dict[str, np.ndarray[Any, Any]]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run `p` on the folder `photos` of 60x60 pictures in 20x20."""
    folder = tmp_path_factory.mktemp("photos")
    patches(folder / "photos", stride=150)
    words = ("train", "--data", "photos", "--image-size", 20, "--epochs", 2, "--name", "p")
    done = call(*words, cwd=folder, VAE_DATA=str(folder / "cache"))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def here(here: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own folder that sees both runs."""
    (here / "runs" / "p").symlink_to(photos / "runs" / "p")
    monkeypatch.setenv("VAE_DATA", str(photos / "cache"))
    return here


def read(path: str = "embed.npz") -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def squares(folder: Path, names: list[str], edge: int = 28) -> None:
    """Pictures of noise, each its own."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (edge, edge), np.uint8)
        Image.fromarray(noise).save(folder / name)


# ----------------------------------------------------------------- what is read


def test_without_data_both_parts_of_the_runs_own_are_there(home: Path, use: Use) -> None:
    out, _ = use("embed", "--run", "small", "--json")
    assert json.loads(out) == {"output": "embed.npz", "items": 70_000, "dimensions": 20}
    found = read()
    assert list(found) == ["name", "part", "label", "mean", "log_variance"]
    assert found["mean"].shape == found["log_variance"].shape == (70_000, 20)
    assert found["mean"].dtype == found["log_variance"].dtype == np.float32
    assert (found["part"] == ["train"] * 60_000 + ["test"] * 10_000).all()
    assert found["name"][[0, 59_999, 60_000, -1]].tolist() == ["0", "59999", "0", "9999"]
    model = load(home / "runs/small", "cpu")
    dataset = model.data()
    for start, part in ((0, dataset.train()), (60_000, dataset.test())):
        rows = np.array([0, 1023, 1024, 1025, len(part) - 1])
        posterior = model.encode(gather(part.items, part.rows[rows]))
        np.testing.assert_allclose(found["mean"][start + rows], posterior.mean, **CLOSE)
        np.testing.assert_allclose(
            found["log_variance"][start + rows], posterior.log_variance, **CLOSE
        )
        want = [dataset.spec.classes[label] for label in part.labels]
        assert found["label"][start : start + len(part)].tolist() == want


def test_a_picture_stands_under_its_path_with_its_own_posterior(home: Path, use: Use) -> None:
    names = ["a/1.png", "a/deep er/2.png", "b/3.png"]
    squares(Path("in"), names)
    use("embed", "in", "--run", "small")
    found = read()
    assert list(found) == ["name", "label", "mean", "log_variance"]
    assert found["name"].tolist() == names
    assert found["label"].tolist() == ["a", "a", "b"]
    model = load(home / "runs/small", "cpu")
    for name, mean in zip(names, found["mean"], strict=True):
        with Image.open(Path("in", name)) as picture:
            np.testing.assert_allclose(model.encode(np.array(picture)).mean[0], mean, **CLOSE)


def test_a_folder_of_one_picture_is_not_divided(use: Use) -> None:
    squares(Path("in"), ["one.png"])
    use("embed", "in", "--run", "small")
    found = read()
    assert found["name"].tolist() == ["one.png"]
    assert list(found) == ["name", "mean", "log_variance"]


def test_a_folders_own_parts_are_kept_and_those_of_no_folder_are_not_made(use: Use) -> None:
    squares(Path("in"), [f"{part}/{number}.png" for part in ("train", "val") for number in (1, 2)])
    use("embed", "in", "--run", "small")
    found = read()
    assert found["name"].tolist() == ["train/1.png", "train/2.png", "val/1.png", "val/2.png"]
    assert found["part"].tolist() == ["train", "train", "test", "test"]


def test_a_strangers_pictures_are_fitted_as_the_commands_fit_them(home: Path, use: Use) -> None:
    """Whole, on the model's background; `reconstruct` has the same KL."""
    wide = Image.new("RGBA", (50, 20), (0, 0, 0, 0))
    wide.paste((250, 10, 99, 255), (5, 5, 30, 15))
    Path("in").mkdir()
    wide.save("in/wide.png")
    use("embed", "in", "--run", "small")
    found = read()
    mean, log_variance = found["mean"][0], found["log_variance"][0]
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum()
    out, _ = use("reconstruct", "in/wide.png", "--run", "small", "--json")
    assert json.loads(out)["images"][0]["kl"] == pytest.approx(kl, rel=1e-3)


def test_the_folder_that_was_learned_is_not_decoded_again(photos: Path, use: Use) -> None:
    kept = sorted((photos / "cache").iterdir())
    use("embed", "--run", "p", "-o", "own.npz")
    use("embed", photos / "photos", "--run", "p", "-o", "given.npz")
    assert sorted((photos / "cache").iterdir()) == kept, "one entry for all three"
    own, given = read("own.npz"), read("given.npz")
    assert set(own["part"]) == {"train", "test"}
    assert "part" not in given
    assert given["name"].tolist() == sorted(own["name"])
    assert set(given["label"]) == {"china", "flower"}
    order = np.argsort(own["name"])
    for key in ("mean", "log_variance"):
        np.testing.assert_allclose(own[key][order], given[key], **CLOSE)
    assert (own["label"][order] == given["label"]).all()


def test_the_same_folder_for_another_model_is_another_entry(photos: Path, home: Path) -> None:
    sizes = []
    for run in (photos / "runs/p", home / "runs/small"):
        spec = load(run, "cpu").spec
        found = build.fitted(str(photos / "photos"), spec).train()
        assert found.items.shape[1:] == spec.shape
        sizes.append(spec.shape)
    assert sizes == [(3, 20, 20), (1, 28, 28)]


def test_pictures_for_a_model_that_is_not_square(here: Path, use: Use) -> None:
    np.save("a.npy", np.random.default_rng(0).integers(0, 256, (60, 10, 20, 3), np.uint8))
    use("train", "--data", "a.npy", "--epochs", 1, "--name", "a")
    squares(Path("in"), ["x.png", "y.jpg"], edge=33)
    use("embed", "in", "--run", "a")
    model = load(here / "runs/a", "cpu")
    paths, spec = [Path("in/x.png"), Path("in/y.jpg")], model.spec
    read_in = [
        images.read(path, spec.shape, background=spec.background, crop=spec.cropped).pixels
        for path in paths
    ]
    for pixels, mean in zip(read_in, read()["mean"], strict=True):
        np.testing.assert_allclose(model.encode(pixels).mean[0], mean, **CLOSE)


def test_pictures_that_cannot_be_read_shift_no_other(home: Path, here: Path) -> None:
    squares(Path("in"), ["a.png", "b.png", "c.png"])
    Path("in/b.png").write_bytes(b"no picture")
    done = call("embed", "in", "--run", "small", cwd=here)
    assert done.returncode == 0, done.stderr
    assert "1 of 3 pictures cannot be read" in done.stderr
    found = read()
    assert found["name"].tolist() == ["a.png", "c.png"]
    with Image.open("in/c.png") as picture:
        want = load(home / "runs/small", "cpu").encode(np.array(picture)).mean[0]
    np.testing.assert_allclose(found["mean"][1], want, **CLOSE)


def test_an_array_keeps_its_order_and_labels(here: Path, use: Use) -> None:
    digits(here / "d.npz")
    use("train", "--data", "d.npz", "--epochs", 1, "--latent-dim", 3, "--name", "d")
    use("embed", "d.npz", "--run", "d", "-o", "given.npz")
    use("embed", "--run", "d", "-o", "own.npz")
    given, own = read("given.npz"), read("own.npz")
    source = np.load("d.npz")
    assert given["name"].tolist() == [str(row) for row in range(1797)]
    assert given["label"].tolist() == source["labels"].astype(str).tolist()
    model = load(here / "runs/d", "cpu")
    np.testing.assert_allclose(given["mean"], model.encode(source["images"]).mean, **CLOSE)
    rows = own["name"].astype(int)
    assert sorted(rows) == list(range(1797)), "a name is the row in the file, in both parts"
    np.testing.assert_allclose(own["mean"], given["mean"][rows], **CLOSE)
    assert (own["label"] == given["label"][rows]).all()


def test_a_tables_columns_are_found_by_their_names(here: Path, use: Use) -> None:
    table(here / "t.csv", "wine")
    use("train", "--data", "t.csv", "--epochs", 5, "--name", "t")
    with Path("t.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    with Path("turned.csv").open("w", newline="") as file:
        csv.writer(file).writerows(row[::-1] for row in rows)
    for name in ("t", "turned"):
        use("embed", f"{name}.csv", "--run", "t", "-o", f"{name}.npz")
    one, other = read("t.npz"), read("turned.npz")
    assert (one["mean"] == other["mean"]).all()
    assert one["mean"].shape == (178, 20)
    assert list(one) == ["name", "mean", "log_variance"]


# -------------------------------------------------------------- what is written

ODD = ["plain.png", 'comma, "quoted".png', "line\nend.png", "cr\rhere.png", " lead", "é/ü ✓.png"]


def odd() -> Embedding:
    draw = np.random.default_rng(0)
    mean, log_variance = draw.normal(size=(2, 6, 3)).astype(np.float32) * 1e-3
    classes = ("a, b", 'c"d')
    labels = np.array([0, 1, 0, 1, 1, 0])
    return Embedding(ODD, mean, log_variance, labels, classes, ["train"] * 4 + ["test"] * 2)


def test_the_three_formats_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "CHUNK", 4)
    made = odd()
    for suffix in embedding.SUFFIXES:
        embedding.write(made, tmp_path / f"z{suffix}")
    arrays = read(str(tmp_path / "z.npz"))
    with (tmp_path / "z.csv").open(newline="", encoding="utf-8") as file:
        head, *rows = list(csv.reader(file))
    columns = parquet.read_table(tmp_path / "z.parquet").to_pydict()
    numbers = [f"{name}_{dim}" for name in ("mean", "log_variance") for dim in range(3)]
    assert head == list(columns) == ["name", "part", "label", *numbers]
    assert [row[0] for row in rows] == columns["name"] == arrays["name"].tolist() == ODD
    assert [row[1] for row in rows] == columns["part"] == arrays["part"].tolist() == made.parts
    want = ["a, b", 'c"d', "a, b", 'c"d', 'c"d', "a, b"]
    assert [row[2] for row in rows] == columns["label"] == arrays["label"].tolist() == want
    values = np.array([row[3:] for row in rows], np.float32)
    assert (values == np.concatenate([arrays["mean"], arrays["log_variance"]], 1)).all()
    assert (values == np.array([columns[name] for name in numbers], np.float32).T).all()
    assert (arrays["mean"] == made.mean).all(), "bit for bit, in CSV too"


def test_what_is_not_known_has_no_column(tmp_path: Path) -> None:
    made = Embedding(["a"], np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32))
    for suffix in embedding.SUFFIXES:
        embedding.write(made, tmp_path / f"z{suffix}")
    assert (tmp_path / "z.csv").read_text() == "name,mean_0,log_variance_0\na,0,1\n"
    assert list(read(str(tmp_path / "z.npz"))) == ["name", "mean", "log_variance"]
    assert parquet.read_table(tmp_path / "z.parquet").column_names == [
        *("name", "mean_0", "log_variance_0")
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
def test_a_name_that_is_not_utf_8_is_written_in_every_format(use: Use) -> None:
    squares(Path("in"), ["a.png"])
    os.rename(b"in/a.png", b"in/\xff\xfea.png")  # noqa: PTH104
    for suffix in embedding.SUFFIXES:
        use("embed", "in", "--run", "small", "-o", f"z{suffix}")
    (name,) = read("z.npz")["name"]
    assert name.endswith("a.png")
    assert name in Path("z.csv").read_text()
    assert parquet.read_table("z.parquet").to_pydict()["name"] == [name]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits")
@pytest.mark.parametrize("suffix", embedding.SUFFIXES)
def test_a_disk_that_fills_leaves_the_old_file(here: Path, suffix: str) -> None:
    squares(Path("in"), [f"{number}.png" for number in range(40)])
    path = here / f"z{suffix}"
    path.write_bytes(b"old")
    call("embed", "in", "--run", "small", "-o", "first.csv", cwd=here)  # fills the cache
    done = subprocess.run(
        [VAE, "embed", "in", "--run", "small", "-o", path.name],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"cannot write {path.name}" in done.stderr
    assert path.read_bytes() == b"old"
    assert not list(here.glob(".*"))


# --------------------------------------------------------------------- the map


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_map_is_drawn_of_every_method_that_is_there(use: Use, method: str) -> None:
    squares(Path("in"), [f"{name}/{number}.png" for name in "ab" for number in range(8)])
    words = ("embed", "in", "--run", "small", "--plot", "map.png", "--method", method)
    assert use(*words)[0] == "embed.npz\nmap.png\n"
    with Image.open("map.png") as picture:
        assert picture.width == 1280
        assert 640 <= picture.height <= 1200
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
        assert not picture.info.keys() - {"dpi"}
    first = Path("map.png").read_bytes()
    use(*words)
    assert Path("map.png").read_bytes() == first


def test_a_map_places_the_points_of_pca() -> None:
    points = np.random.default_rng(0).normal(size=(500, 4)) * [1, 5, 2, 0.1]
    shown = plot.flatten(points.astype(np.float32))
    assert abs(np.corrcoef(shown.coordinates[:, 0], points[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(shown.coordinates[:, 1], points[:, 2])[0, 1]) > 0.99
    shares = np.sort(points.var(0))[:1:-1] / points.var(0).sum()
    for number, (axis, share) in enumerate(zip(shown.axes, shares, strict=True), 1):
        assert axis.startswith(f"PC {number} (")
        assert int(axis.split()[2][1:]) == pytest.approx(100 * share, abs=1)
    assert (shown.rows == np.arange(500)).all()


def test_neighbours_stay_neighbours_under_t_sne(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plot, "MOST", 90)
    centres = np.eye(3).repeat(60, 0) * 20
    points = np.random.default_rng(0).normal(size=(180, 3)) + centres
    shown = plot.flatten(points.astype(np.float32), "tsne")
    assert shown.axes == ("t-SNE 1", "t-SNE 2")
    assert len(shown.coordinates) == len(set(shown.rows.tolist())) == 90
    group, apart = shown.rows // 60, shown.coordinates[:, None] - shown.coordinates
    distance = np.square(apart).sum(-1) + np.diag(np.full(90, np.inf))
    assert (group[distance.argmin(1)] == group).all()


def test_each_class_has_its_own_colour_and_the_smallest_are_grey_together() -> None:
    draw = np.random.default_rng(0)
    for classes in (2, 10, 11, 20, 30):
        sizes = draw.permutation(classes) + 1
        labels = np.arange(classes).repeat(sizes)
        names = [f"class {label}" for label in range(classes)]
        colours, legend = plot.palette(labels, len(labels), names)
        own = {tuple(colour) for _, colour in legend}
        assert len(own) == len(legend) == min(classes, 21)
        for name, colour in legend[:20]:
            assert (colours[labels == names.index(name)] == colour).all()
        if classes == 30:
            assert legend[-1][0] == "10 others"
            named = {name for name, _ in legend}
            assert {name for name, size in zip(names, sizes, strict=True) if size > 10} <= named


def test_a_name_that_matplotlib_would_read_as_a_formula_is_drawn_as_it_is() -> None:
    shown = plot.flatten(np.eye(12, dtype=np.float32))
    labels = np.arange(12) % 4
    names = ["$\\frac{", "_hidden", "\x1b[31m\n", "猫" * 60]
    assert plot.draw(shown, "$run_$: 12", labels, names).startswith(b"\x89PNG")


# ------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-o", "z.txt"], "--output z.txt: end the name with .npz, .csv or .parquet"),
        (["--plot", "map.jpg"], "--plot map.jpg: the map is written as PNG"),
        (["--method", "pca"], "--method has no effect here"),
        (["--method", "mds", "--plot", "map.png"], "--method"),
        (["missing"], "error: missing: no such folder, file or data set"),
        (["fashion-mnits"], "did you mean fashion-mnist?"),
        (["in/a.png"], "is one picture: name the folder in which it lies"),
        (["empty"], "no pictures in empty"),
        (["t.csv"], "t.csv is a table, but fashion-mnist is of images"),
        (["wide.npy"], "holds items of 1x28x29, but fashion-mnist is of 1x28x28"),
        (["bright.npy"], "1.5 at row 1, pixel [0, 0, 0] is not in [0, 1]"),
        (["shapes"], "shapes holds items of 1x64x64, but fashion-mnist is of 1x28x28"),
        (["in", "--plot", "in/map.png"], "would lie among the pictures of in"),
        (["in", "--plot", "map.png", "--method", "tsne"], "takes 10 items or more, not 1"),
        (["wide.npz", "-o", "wide.npz"], "would overwrite what is read"),
    ],
)
def test_what_does_not_fit_is_one_line(
    here: Path, refused: Refused, words: list[str], reason: str
) -> None:
    squares(here / "in", ["a.png"])
    (here / "empty").mkdir()
    table(here / "t.csv", "wine")
    np.save("wide.npy", np.zeros((3, 28, 29)))
    np.save("bright.npy", np.array([np.zeros((28, 28)), np.full((28, 28), 1.5)]))
    assert reason in refused("embed", *words, "--run", "small")


def test_what_does_not_fit_a_model_of_a_table(here: Path, use: Use, refused: Refused) -> None:
    table(here / "t.csv", "wine")
    use("train", "--data", "t.csv", "--epochs", 1, "--name", "t")
    (here / "narrow.csv").write_text("alcohol,b\n1,2\n")
    squares(here / "in", ["a.png"])
    said = refused("embed", "narrow.csv", "--run", "t")
    assert "narrow.csv lacks malic_acid: the model learned 13 columns" in said
    assert "in is a folder, but t is of vectors" in refused("embed", "in", "--run", "t")
    assert "holds items of 1x28x28, but t is of 13" in refused(
        "embed", "fashion-mnist", "--run", "t"
    )


@pytest.mark.parametrize(
    ("missing", "words", "remedy"),
    [
        ("pyarrow", ["-o", "z.parquet"], "pip install pyarrow"),
        ("umap", ["--plot", "map.png", "--method", "umap"], "pip install umap-learn"),
        ("sklearn", ["--plot", "map.png", "--method", "tsne"], "pip install scikit-learn"),
    ],
)
def test_a_library_that_is_missing_is_named(
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    words: list[str],
    remedy: str,
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert remedy in refused("embed", *words, "--run", "small")


def test_a_notebook_may_embed_what_it_likes(home: Path) -> None:
    model = load(home / "runs/small", "cpu")
    seen: list[tuple[int, int]] = []
    found = embedding.embed(
        model, build.fitted("fashion-mnist", model.spec), lambda *at: seen.append(at)
    )
    assert seen[-1] == (70_000, 70_000)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert max(np.diff([done for done, _ in seen])) <= 1024
    with pytest.raises(UsageError):
        embedding.write(found, Path("z.pickle"))
