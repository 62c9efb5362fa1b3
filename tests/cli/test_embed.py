"""`vae embed`: the posterior of every item in a file, and a map of the means."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import digits, patches, read_picture, table
from PIL import Image
from support import Refused, Use, call

from vae_cli import load
from vae_cli.api.embeddings import SUFFIXES
from vae_cli.data.catalogue import open_dataset_for
from vae_cli.data.dataset import ignore_progress

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
    """A folder of its own, made the current one, in which both runs are visible."""
    (here / "runs" / "p").symlink_to(photos / "runs" / "p")
    monkeypatch.setenv("VAE_DATA", str(photos / "cache"))
    return here


def read(path: str = "embed.npz") -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def write_pictures(folder: Path, names: list[str], edge: int = 28) -> None:
    """Square grey pictures of noise; no two are the same."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (edge, edge), np.uint8)
        Image.fromarray(noise).save(folder / name)


# ------------------------------------------------------------------- the input


def test_each_picture_has_its_path_as_name_and_its_own_posterior(home: Path, use: Use) -> None:
    names = ["a/1.png", "a/deep er/2.png", "b/3.png"]
    write_pictures(Path("in"), names)
    use("embed", "in", "--run", "small")
    found = read()
    assert list(found) == ["name", "label", "mean", "log_variance"]
    assert found["name"].tolist() == names
    assert found["label"].tolist() == ["a", "a", "b"]
    model = load(home / "runs/small", "cpu")
    for name, mean in zip(names, found["mean"], strict=True):
        with Image.open(Path("in", name)) as picture:
            np.testing.assert_allclose(model.encode(np.array(picture)).mean[0], mean, **CLOSE)


def test_a_folder_with_one_picture_is_embedded_as_one_part(use: Use) -> None:
    write_pictures(Path("in"), ["one.png"])
    use("embed", "in", "--run", "small")
    found = read()
    assert found["name"].tolist() == ["one.png"]
    assert list(found) == ["name", "mean", "log_variance"]


def test_a_folder_that_is_divided_into_train_and_val_keeps_its_parts(use: Use) -> None:
    write_pictures(
        Path("in"), [f"{part}/{number}.png" for part in ("train", "val") for number in (1, 2)]
    )
    use("embed", "in", "--run", "small")
    found = read()
    assert found["name"].tolist() == ["train/1.png", "train/2.png", "val/1.png", "val/2.png"]
    assert found["part"].tolist() == ["train", "train", "test", "test"]


def test_other_pictures_are_fitted_to_the_model_as_in_reconstruct(home: Path, use: Use) -> None:
    """The whole picture is shown on the background of the training data; the KL must be equal."""
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


def test_the_training_folder_is_read_from_the_cache(photos: Path, use: Use) -> None:
    kept = sorted((photos / "cache").iterdir())
    out, _ = use("embed", "--run", "p", "-o", "own.npz", "--json")
    use("embed", photos / "photos", "--run", "p", "-o", "given.npz")
    assert sorted((photos / "cache").iterdir()) == kept, "training and both calls share one entry"
    own, given = read("own.npz"), read("given.npz")
    assert json.loads(out) == {"output": "own.npz", "items": len(own["name"]), "dimensions": 20}
    assert list(own) == ["name", "part", "label", "mean", "log_variance"]
    assert set(own["part"]) == {"train", "test"}
    assert "part" not in given
    assert given["name"].tolist() == sorted(own["name"])
    assert set(given["label"]) == {"china", "flower"}
    order = np.argsort(own["name"])
    for key in ("mean", "log_variance"):
        np.testing.assert_allclose(own[key][order], given[key], **CLOSE)
    assert (own["label"][order] == given["label"]).all()


def test_the_same_folder_is_read_in_the_shape_of_each_model(
    photos: Path, home: Path, here: Path
) -> None:
    sizes = []
    for run in (photos / "runs/p", home / "runs/small"):
        spec = load(run, "cpu").spec
        dataset = open_dataset_for(spec, str(photos / "photos"), ignore_progress)
        found = dataset.train()
        assert found.items.shape[1:] == spec.shape
        sizes.append(spec.shape)
    assert sizes == [(3, 20, 20), (1, 28, 28)]


def test_pictures_are_cropped_for_a_model_of_images_that_are_not_square(
    here: Path, use: Use
) -> None:
    np.save("a.npy", np.random.default_rng(0).integers(0, 256, (60, 10, 20, 3), np.uint8))
    use("train", "--data", "a.npy", "--epochs", 1, "--name", "a")
    write_pictures(Path("in"), ["x.png", "y.jpg"], edge=33)
    use("embed", "in", "--run", "a")
    model = load(here / "runs/a", "cpu")
    paths, spec = [Path("in/x.png"), Path("in/y.jpg")], model.spec
    fitted = [
        read_picture(path, spec.shape, background=spec.background, crop=spec.cropped).pixels
        for path in paths
    ]
    for pixels, mean in zip(fitted, read()["mean"], strict=True):
        np.testing.assert_allclose(model.encode(pixels).mean[0], mean, **CLOSE)


@pytest.mark.filterwarnings("always")
def test_a_picture_that_cannot_be_read_is_left_out_and_the_others_keep_their_names(
    home: Path, use: Use
) -> None:
    write_pictures(Path("in"), ["a.png", "b.png", "c.png"])
    Path("in/b.png").write_bytes(b"no picture")
    assert "1 of 3 pictures cannot be read" in use("embed", "in", "--run", "small").err
    found = read()
    assert found["name"].tolist() == ["a.png", "c.png"]
    with Image.open("in/c.png") as picture:
        expected = load(home / "runs/small", "cpu").encode(np.array(picture)).mean[0]
    np.testing.assert_allclose(found["mean"][1], expected, **CLOSE)


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
    assert sorted(rows) == list(range(1797)), "a name is the row number in the file"
    np.testing.assert_allclose(own["mean"], given["mean"][rows], **CLOSE)
    assert (own["label"] == given["label"][rows]).all()


def test_the_columns_of_a_table_are_found_by_their_names(here: Path, use: Use) -> None:
    table(here / "t.csv", "wine")
    use("train", "--data", "t.csv", "--epochs", 5, "--name", "t")
    with Path("t.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    with Path("reversed.csv").open("w", newline="") as file:
        csv.writer(file).writerows(row[::-1] for row in rows)
    for name in ("t", "reversed"):
        use("embed", f"{name}.csv", "--run", "t", "-o", f"{name}.npz")
    one, other = read("t.npz"), read("reversed.npz")
    assert (one["mean"] == other["mean"]).all()
    assert one["mean"].shape == (178, 20)
    assert list(one) == ["name", "mean", "log_variance"]


# ------------------------------------------------------------------ the output


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Make this process unable to write more than `size` bytes to a file."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of file sizes")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_old_file_stays_if_the_new_one_cannot_be_written_completely(
    use: Use, refused: Refused, suffix: str
) -> None:
    write_pictures(Path("in"), [f"{number}.png" for number in range(40)])
    path = Path(f"z{suffix}")
    path.write_bytes(b"old")
    use("embed", "in", "--run", "small", "-o", "first.csv")  # fills the cache of pictures
    with file_size_limit(5000):
        line = refused("embed", "in", "--run", "small", "-o", path.name, "--force", code=1)
    assert line.startswith(f"cannot write {path.name}")
    assert path.read_bytes() == b"old"


# --------------------------------------------------------------------- the map


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_the_map_is_a_png_and_the_same_every_time(use: Use, method: str) -> None:
    write_pictures(Path("in"), [f"{name}/{number}.png" for name in "ab" for number in range(8)])
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


# -------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-o", "z.txt"], "--output z.txt: end the name with .npz, .csv or .parquet"),
        (["--plot", "map.jpg"], "--plot map.jpg: end the name with .png, .svg or .pdf"),
        (["--method", "pca"], "--method has no effect here"),
        (["--method", "mds", "--plot", "map.png"], "--method"),
        (["missing"], "missing: no such folder, file or data set"),
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
def test_arguments_that_do_not_fit_the_model_or_each_other_are_refused(
    here: Path, refused: Refused, words: list[str], reason: str
) -> None:
    write_pictures(here / "in", ["a.png"])
    (here / "empty").mkdir()
    table(here / "t.csv", "wine")
    np.save("wide.npy", np.zeros((3, 28, 29)))
    np.savez("wide.npz", np.zeros((3, 28, 29)))
    np.save("bright.npy", np.array([np.zeros((28, 28)), np.full((28, 28), 1.5)]))
    assert reason in refused("embed", *words, "--run", "small")


def test_data_that_do_not_fit_a_model_of_a_table_are_refused(
    here: Path, use: Use, refused: Refused
) -> None:
    table(here / "t.csv", "wine")
    use("train", "--data", "t.csv", "--epochs", 1, "--name", "t")
    (here / "narrow.csv").write_text("alcohol,b\n1,2\n")
    write_pictures(here / "in", ["a.png"])
    line = refused("embed", "narrow.csv", "--run", "t")
    assert "narrow.csv lacks malic_acid, ash, " in line
    assert "in is a folder, but t is of vectors" in refused("embed", "in", "--run", "t")
    assert "fashion-mnist is of images, but t is of vectors" in refused(
        "embed", "fashion-mnist", "--run", "t"
    )


@pytest.mark.parametrize(
    ("missing", "words", "remedy"),
    [
        ("umap", ["--plot", "map.png", "--method", "umap"], "pip install umap-learn"),
        ("sklearn", ["--plot", "map.png", "--method", "tsne"], "pip install scikit-learn"),
    ],
)
def test_the_message_names_the_package_of_a_library_that_is_not_installed(
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
