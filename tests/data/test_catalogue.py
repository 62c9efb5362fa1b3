"""What the name of a data set means, and which data set is opened for it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_cli import load
from vae_cli.cli._app import main
from vae_cli.data.arrays import Arrays
from vae_cli.data.catalogue import open_dataset, open_dataset_for
from vae_cli.data.columns import number_columns
from vae_cli.data.dataset import Dataset, PictureRules, Spec, ignore_progress
from vae_cli.data.downloads import Downloaded
from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.data.folder import PictureFolder
from vae_cli.data.shapes import Shapes
from vae_cli.data.source import BUILT_IN_NAMES, DataSource, SourceKind, find_source
from vae_cli.data.table import Table
from vae_cli.errors import UsageError
from vae_cli.settings import read_config

GREY = Spec("pets", (1, 16, 16))
ROWS = Spec("wine", (2,), columns=number_columns("a", "b"))
WARNING = "shapes is the built-in data set; ./shapes names what is in this folder"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: it has a data source of each kind."""
    here = tmp_path / "here"
    make_pictures(here / "photos")
    monkeypatch.chdir(here)
    np.save("x.npy", np.zeros((9, 16, 16), np.uint8))
    np.savez("X.NPZ", images=np.zeros((9, 16, 16), np.uint8))
    Path("X.NPZ.npz").rename("X.NPZ")
    Path("t.csv").write_text("b,a\n2,1\n4,3\n")
    Path("T.TSV").write_text("a\tb\n1\t2\n3\t4\n")
    Path("x.safetensors").touch()
    Path("notes.txt").write_text("no data")
    return here


def make_pictures(folder: Path, count: int = 24) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("L", (16, 16), number).save(folder / f"{number}.png")


def open_name(name: str, **options: object) -> Dataset:
    settings = {"test_fraction": 0.61, "progress": ignore_progress} | options
    return open_dataset(find_source(name), **settings)  # type: ignore[arg-type]


def open_pictures(name: str, **rules: int) -> Dataset:
    return open_name(name, pictures=PictureRules(**rules))


# ---------------------------------------------------------------------- what a name means


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("fashion-mnist", SourceKind.BUILT_IN),
        ("shapes", SourceKind.BUILT_IN),
        ("cifar10", SourceKind.BUILT_IN),
        ("photos", SourceKind.FOLDER),
        ("photos/", SourceKind.FOLDER),
        ("./photos", SourceKind.FOLDER),
        (".", SourceKind.FOLDER),
        ("x.npy", SourceKind.ARRAY),
        ("X.NPZ", SourceKind.ARRAY),
        ("x.safetensors", SourceKind.ARRAY),
        ("t.csv", SourceKind.TABLE),
        ("T.TSV", SourceKind.TABLE),
    ],
)
def test_a_name_is_a_built_in_data_set_a_folder_an_array_or_a_table(
    name: str, kind: SourceKind
) -> None:
    assert find_source(name) == DataSource(name, kind)


def test_a_folder_whose_name_ends_like_a_file_is_a_folder() -> None:
    Path("all.npy").mkdir()
    assert find_source("all.npy").kind is SourceKind.FOLDER


@pytest.mark.parametrize("name", BUILT_IN_NAMES)
@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["folder", "file"])
def test_a_built_in_name_wins_over_a_folder_or_file_of_the_same_name(
    name: str, make: Callable[[Path], None]
) -> None:
    make(Path(name))
    assert find_source(name) == DataSource(name, SourceKind.BUILT_IN)


@pytest.mark.parametrize("name", ["./shapes", "shapes/", "../here/shapes", "Shapes"])
def test_a_path_to_a_folder_with_a_built_in_name_is_the_folder(here: Path, name: str) -> None:
    (here / "shapes").mkdir()
    (here / "Shapes").mkdir(exist_ok=True)
    assert find_source(name).kind is SourceKind.FOLDER
    assert find_source(str(here / "shapes")).kind is SourceKind.FOLDER


def test_the_absolute_name_means_the_same_in_every_folder(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "shapes").mkdir()
    names = [find_source(name).absolute_name for name in ("shapes", "./shapes", "x.npy")]
    assert names == ["shapes", str(here / "shapes"), str(here / "x.npy")]
    monkeypatch.chdir(tmp_path)
    kinds = [find_source(name).kind for name in names]
    assert kinds == [SourceKind.BUILT_IN, SourceKind.FOLDER, SourceKind.ARRAY]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar-10", "cifar-10: no such folder, file or data set; did you mean cifar10?"),
        ("photso", "photso: no such folder, file or data set; did you mean photos?"),
        ("photso/", "photso/: no such folder, file or data set; did you mean photos?"),
        ("./photso", "; did you mean photos?"),
        ("../her", "; did you mean ../here?"),
        ("zzzzzz", "; data sets are fashion-mnist, shapes, shapes-32, mnist, "),
        ("n" * 5000, "no such folder, file or data set; "),
        ("a\0b", "no such folder, file or data set; "),
        ("photos/3.png", "photos/3.png is one picture: name the folder in which it lies"),
        (
            "notes.txt",
            "notes.txt is no folder, and no file that can be read: "
            ".npy, .npz, .safetensors, .csv, .tsv",
        ),
    ],
)
def test_a_name_without_data_is_refused_with_what_to_write_instead(name: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        find_source(name)
    assert message in str(refusal.value)
    with pytest.raises(UsageError) as refusal:
        find_source(name, "data.name")
    assert str(refusal.value).startswith(f"data.name {name}")
    assert message in str(refusal.value)


def test_an_empty_name_is_not_the_current_folder() -> None:
    for key, label in (("", "the name of the data"), ("data.name", "data.name")):
        with pytest.raises(UsageError) as refusal:
            find_source("", key)
        assert str(refusal.value) == f'{label} "": name a folder, file or data set'


# ---------------------------------------------------------------------- what is opened


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("fashion-mnist", FashionMNIST),
        ("shapes", Shapes),
        ("mnist", Downloaded),
        ("photos", PictureFolder),
        ("x.npy", Arrays),
        ("t.csv", Table),
    ],
)
def test_each_kind_of_source_is_opened_by_its_own_class(name: str, kind: type[Dataset]) -> None:
    assert type(open_name(name)) is kind


@pytest.mark.parametrize("name", ["missing.npy", "missing.npz", "missing.safetensors"])
@pytest.mark.parametrize("suffix", ["", ".csv", ".tsv"])
def test_a_missing_file_is_refused_by_name(name: str, suffix: str) -> None:
    message = rf"^{name}{suffix}: no such folder, file or data set; "
    with pytest.raises(UsageError, match=message):
        open_name(name + suffix)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["folder", "file"])
def test_a_warning_says_that_the_built_in_data_set_is_meant_if_both_exist(
    make: Callable[[Path], None],
) -> None:
    make(Path("shapes"))
    with pytest.warns(UserWarning, match=WARNING) as caught:
        dataset = open_name("shapes")
    assert type(dataset) is Shapes
    assert [str(warning.message) for warning in caught] == [WARNING]


def test_there_is_no_warning_if_the_folder_is_named_by_its_path(here: Path) -> None:
    """A warning would be an error here, as everywhere in these tests."""
    make_pictures(here / "shapes")
    for name in ("./shapes", "shapes/", str(here / "shapes")):
        assert open_name(name).spec.shape == (1, 16, 16)


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({"image_size": 32}, "data.image_size is"),
        ({"channels": 3, "background": 0}, "data.channels and data.background are"),
    ],
)
@pytest.mark.parametrize("name", ["fashion-mnist", "mnist", "x.npy", "t.csv"])
def test_options_of_pictures_are_refused_for_anything_but_a_folder(
    name: str, options: dict[str, int], flags: str
) -> None:
    with pytest.raises(UsageError, match=f"{flags} for folders of pictures, not {name}"):
        open_pictures(name, **options)


def test_size_and_channels_of_a_folder_are_used() -> None:
    assert open_pictures("photos", image_size=20, channels=3).spec.shape == (3, 20, 20)
    assert open_pictures("photos", channels=1).spec.shape == (1, 16, 16)


def test_the_test_fraction_is_used() -> None:
    for name in ("photos", "x.npy", "t.csv"):
        dataset = open_name(name, test_fraction=0.0)
        assert len(dataset.test()) == 0
        assert len(dataset.train()) > 0


# ---------------------------------------------------------------------- data for a trained model


@pytest.mark.parametrize(("name", "count"), [("photos", 24), ("x.npy", 9)])
def test_data_for_a_model_are_not_divided(name: str, count: int) -> None:
    dataset = open_dataset_for(GREY, name, ignore_progress)
    assert dataset.train().rows.tolist() == list(range(count))
    assert len(dataset.test()) == 0


def test_a_folder_is_fitted_to_the_shape_of_the_model() -> None:
    spec = Spec("pets", (3, 20, 28), background=7)
    found = open_dataset_for(spec, "photos", ignore_progress).spec
    assert (found.name, found.shape, found.background) == ("photos", (3, 20, 28), 7)


@pytest.mark.parametrize("name", ["t.csv", "T.TSV"])
def test_the_columns_of_a_table_are_brought_to_the_order_of_the_model(name: str) -> None:
    rows = open_dataset_for(ROWS, name, ignore_progress).train().items
    assert rows.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("spec", "name", "message"),
    [
        (ROWS, "photos", "photos is a folder, but wine is of vectors"),
        (GREY, "t.csv", "t.csv is a table, but pets is of images"),
        (GREY, "fashion-mnist", "fashion-mnist holds items of 1x28x28, but pets is of 1x16x16"),
        (ROWS, "x.npy", "x.npy holds items of 1x16x16, but wine is of 2"),
        (GREY, "photso", "photso: no such folder, file or data set; did you mean photos?"),
    ],
)
def test_data_that_do_not_fit_the_model_are_refused(spec: Spec, name: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        open_dataset_for(spec, name, ignore_progress)
    assert str(refusal.value) == message


def test_data_for_a_model_may_have_a_built_in_name_too(here: Path) -> None:
    make_pictures(here / "fashion-mnist")
    spec = Spec("pets", (1, 28, 28))
    with pytest.warns(UserWarning, match="fashion-mnist is the built-in data set"):
        dataset = open_dataset_for(spec, "fashion-mnist", ignore_progress)
    assert type(dataset) is FashionMNIST
    found = open_dataset_for(spec, "./fashion-mnist", ignore_progress)
    assert type(found) is PictureFolder


# ---------------------------------------------------------------------- the commands agree


@pytest.mark.filterwarnings("default")  # the commands print warnings
@pytest.mark.parametrize(
    ("name", "shape", "warned"), [("shapes", (1, 64, 64), True), ("./shapes", (1, 16, 16), False)]
)
def test_train_and_data_take_a_name_for_the_same_data_set(
    here: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    shape: tuple[int, ...],
    warned: bool,
) -> None:
    make_pictures(here / "shapes")

    def run(*words: object) -> str:
        code = main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert code == 0, err
        assert (f"{WARNING}\n" in err) is warned, err
        return out

    shown = json.loads(run("data", name, "--examples", 1, "--limit", 16, "--json"))
    small = ("--limit", 16, "--epochs", 1, "--model", "mlp", "--hidden", 2)
    run("train", "--data", name, *small, "--precision", "float32", "--name", "small")
    model = load("small")
    assert tuple(shown["shape"]) == model.spec.shape == shape
    assert shown["name"] == model.spec.name == "shapes"
    assert [row["name"] for row in shown["classes"]] == list(model.spec.classes)
    again = read_config(here / "runs/small/config.toml")["data"]["name"]
    assert again == ("shapes" if name == "shapes" else str(here / "shapes"))
    assert find_source(again).kind is find_source(name).kind
