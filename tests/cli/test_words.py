"""The words that people type: other names, other spellings, lists with commas, parts of names."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use

from vae_cli import load
from vae_cli.cli._inputs import find_class, find_classes
from vae_cli.cli._parsing import spell_number
from vae_cli.cli.commands.evaluate import find_runs
from vae_cli.data.dataset import Spec
from vae_cli.data.source import find_source
from vae_cli.errors import UsageError
from vae_cli.settings import merge, parse_assignments

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker")
SPEC = Spec("clothes", (1, 28, 28), classes=CLASSES)


def test_lr_is_the_learning_rate_and_lists_take_commas(here: Path, use: Use) -> None:
    words = ["--limit", 128, "--epochs", 1, "--precision", "float32"]
    use("train", *words, "--lr", 0.002, "--hidden", "30,20", "--hidden", 10, "--name", "a")
    settings = tomllib.loads(Path("runs/a/config.toml").read_text())
    assert settings["optimizer"]["learning_rate"] == 0.002
    assert settings["model"]["hidden"] == [30, 20, 10]


@pytest.mark.parametrize("key", ["optimizer.lr", "optimizer.learning_rate"])
def test_an_alias_is_accepted_in_every_place(key: str) -> None:
    section, name = key.split(".")
    layers = parse_assignments([f"{key}=0.25"])
    assert merge(*layers) == merge(("file", {section: {name: 0.25}}))
    assert merge(*layers).optimizer.learning_rate == 0.25


def test_gray_is_grey() -> None:
    assert merge(("file", {"data": {"channels": "gray"}})).data.channels == "grey"


@pytest.mark.parametrize("name", ["grey", "gray"])
def test_gray_is_grey_on_the_command_line(name: str, refused: Refused) -> None:
    expected = "--channels is for folders of pictures, not fashion-mnist"
    assert refused("data", "--channels", name) == expected


def test_an_alias_beside_its_setting_is_refused() -> None:
    tables = {"optimizer": {"lr": 0.1, "learning_rate": 0.2}}
    with pytest.raises(UsageError, match="file: lr and learning_rate are the same setting"):
        merge(("file", tables))


@pytest.mark.parametrize("other", ["optimizer.lr=0.1", "optimizer.learning_rate=0.1"])
def test_a_setting_that_is_set_twice_is_refused(other: str, refused: Refused) -> None:
    line = refused("train", "--set", "optimizer.lr=0.2", "--set", other)
    assert line == f"--set optimizer.lr=0.2 and --set {other}: give only one of them"


@pytest.mark.parametrize("value", ["400,x", "400,,200", ",", "1.5", "-4", "1e3", "400;200"])
def test_a_list_that_is_not_of_numbers_is_refused(value: str, refused: Refused) -> None:
    line = refused("train", f"--hidden={value}")
    assert line == f"--hidden {value}: write a whole number, or several as in 400,200"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("tshirt", 0),
        ("T-SHIRT", 0),
        ("t shirt top", 0),
        ("t", None),
        ("s", None),
        ("sh", 6),
        ("shirt", 6),
        ("sneak", 7),
        ("Sandal", 5),
    ],
)
def test_a_class_is_found_by_the_letters_that_begin_its_name(name: str, label: int | None) -> None:
    if label is None:
        with pytest.raises(UsageError, match=f"--class {name}: which of"):
            find_class(name, SPEC)
    else:
        assert find_class(name, SPEC) == label


@pytest.mark.parametrize("name", ["shoe", "", "-", "zzz"])
def test_an_unknown_class_lists_all_classes(name: str) -> None:
    with pytest.raises(UsageError) as error:
        find_class(name, SPEC)
    assert str(error.value) == f"--class {name}: the classes are {', '.join(CLASSES)}"


def test_a_typo_in_a_class_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"--class snaker: did you mean Sneaker\?"):
        find_class("snaker", SPEC)


def test_of_many_classes_some_are_listed() -> None:
    spec = Spec("many", (4,), classes=tuple(f"class {number}" for number in range(30)))
    with pytest.raises(UsageError, match="class 18, class 19 and 10 more"):
        find_class("x", spec)


def test_classes_of_symbols_are_found_by_their_whole_name() -> None:
    spec = Spec("symbols", (4,), classes=("+", "-", "a", "A"))
    assert [find_class(name, spec) for name in spec.classes] == [0, 1, 2, 3]


def test_dimensions_can_be_separated_by_commas(use: Use) -> None:
    table = use("traverse", "--dim", "1,2", "--dim", " 0").out
    rows = [line.split()[:2] for line in table.splitlines()[1:4]]
    assert rows == [["1", "1"], ["2", "2"], ["3", "0"]]


@pytest.mark.parametrize("value", ["1,", "1;2", "1,20", "all,1"])
def test_other_lists_of_dimensions_are_refused(value: str, here: Path, refused: Refused) -> None:
    assert refused("traverse", "--dim", value).startswith("--dim ")


@pytest.mark.parametrize("path", ["runs/small/best.safetensors", "small/best.safetensors"])
def test_the_weights_of_a_run_name_the_run(path: str, use: Use) -> None:
    use("sample", "-n", 4, "--seed", 1, "-o", "a.png", "--run", path)
    use("sample", "-n", 4, "--seed", 1, "-o", "b.png", "--run", "small")
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_the_weights_in_this_folder_name_the_run(
    home: Path, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "runs/small", "model")
    monkeypatch.chdir("model")
    use("sample", "-n", 4, "-o", "a.png", "--run", "best.safetensors")


def test_resuming_says_that_no_run_was_stopped(use: Use) -> None:
    out = use("train", "--resume").out
    assert out == "no run was stopped; run small is finished: raise --epochs to go on\n"
    assert use("train", "--resume", "small").out.startswith("run small is finished")


def test_resuming_without_any_run_says_so(refused: Refused) -> None:
    line = refused("train", "--resume")
    folder = Path("runs").absolute()
    assert line == f"no run in {folder} was stopped: train one first with: vae train"


def test_data_that_have_moved_are_named(here: Path, use: Use, refused: Refused) -> None:
    Path("x.csv").write_text("".join(f"{n}.5,{n * n % 7}.5\n" for n in range(40)))
    use("train", "--data", "x.csv", "--epochs", 1, "--name", "x")
    path = Path("x.csv").resolve()
    Path("x.csv").rename("y.csv")
    expected = f"run x: its data ({path}) are not here: if they have moved, name their place with "
    fitted = ("sample", "--sampler", "gmm")
    for words in (["reconstruct"], ["traverse"], ["interpolate"], ["evaluate"], fitted):
        assert refused(*words, "--run", "x") == f"{expected}--data"
    assert refused("embed", "--run", "x") == f"{expected}vae embed"
    prior = ("sample", "--data", "y.csv", "--run", "x", "--sampler", "prior")
    assert refused(*prior).startswith("--data has no effect here")
    use(*fitted, "--data", "y.csv", "--run", "x")
    use("reconstruct", "y.csv", "--run", "x")
    with pytest.raises(UsageError, match="are not here"):
        load("x").held_out()


def test_one_picture_needs_others(
    use: Use, refused: Refused, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAE_DATA", str(home / "cache"))
    use("sample", "-n", 1, "-o", "photos/a.png")
    line = refused("data", "photos")
    assert line.endswith("add others, because one is to train on and one to test on")


def test_of_five_rows_one_is_held_out_with_any_fraction(use: Use, refused: Refused) -> None:
    np.savetxt("rows.csv", np.arange(10).reshape(5, 2), delimiter=",")
    assert "4 training rows, 1 test" in use("data", "rows.csv", "--test-fraction", 0.001).out
    line = refused("train", "--data", "rows.csv", "--model", "conv")
    assert line.startswith("--model conv takes images")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("train", "photos"), "photos: did you mean --data photos?"),
        (("train", "shapes"), "shapes: did you mean --data shapes?"),
        (("train", "small"), "small: did you mean --resume small?"),
        (("train", "runs/small"), "runs/small: did you mean --resume runs/small?"),
        (
            ("train", "fashion"),
            "--data fashion: no such folder, file or data set; did",
        ),
        (("sample", "small"), "small: did you mean --run small?"),
        (("manifold", "runs/small"), "runs/small: did you mean --run runs/small?"),
        (("reconstruct", "small"), "small: did you mean --run small?"),
        (("score", "small"), "small: did you mean --run small?"),
        (
            ("data", "my", "photos"),
            "photos: put a path with spaces in quotation marks: 'my photos'",
        ),
        (
            ("train", "--data", "my", "photos", "--epochs", "1"),
            "my photos: put a path with spaces in quotation marks: 'my photos'",
        ),
        (("sample", "-n", "1.000"), "1.000: a whole number has no point: 1000 or 1,000"),
        (
            ("sample", "four"),
            "vae sample does not take four: vae sample --help shows what it takes",
        ),
        (
            ("sample", "-n", "1,5"),
            "Invalid value for '--count' / '-n': must be a valid integer, not '1,5'",
        ),
        (("train", "--name", "small"), "runs/small exists already: choose another --name"),
        (("train", "--data", "shapez"), "--data shapez: no such folder, file or data set; did you"),
    ],
)
def test_what_was_meant_is_said(
    here: Path, refused: Refused, words: tuple[str, ...], line: str
) -> None:
    for name in ("photos", "my photos"):
        Path(name).mkdir()
    assert refused(*words).startswith(line)


@pytest.mark.parametrize("number", ["1,000", "1_000", "1e3", "1000"])
def test_a_thousand_is_spelled_in_several_ways(number: str) -> None:
    assert spell_number(number) == "1000"


@pytest.mark.parametrize("text", ["1,5", "10,00", "1e400", "1.5e3", "", "x", "-1", "1,000,", "0x1"])
def test_other_texts_are_left_as_they_are(text: str) -> None:
    assert spell_number(text) == text


def test_a_square_is_typed_as_its_edge_or_as_width_and_height(
    here: Path, use: Use, refused: Refused
) -> None:
    (here / "all").mkdir()
    for number in range(30):
        Image.new("L", (20, 20), number).save(here / f"all/{number}.png")
    for size in ("24x24", "24X24", " 24 × 24 "):
        found = json.loads(use("data", "all", "--image-size", size, "--json").out)
        assert found["shape"] == [1, 24, 24]
        assert merge(("", {"data": {"image_size": size}})).data.image_size == 24
    assert refused("data", "all", "--image-size", "24x32").startswith("24x32 is not square")
    assert "24x32 is not square" in refused("train", "--set", "data.image_size=24x32")


def test_numbers_are_spelled_only_where_a_number_is_asked_for(use: Use) -> None:
    use("sample", "-n", "1e1", "--seed=1,000", "-o", "1e1.png")
    assert Path("1e1.png").is_file()


def test_the_home_folder_is_found_without_the_shell(
    here: Path, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    Path("x.csv").write_text("".join(f"{n}.5,{n * n % 7}.5\n" for n in range(40)))
    expected = use("data", "x.csv", "--json").out
    assert use("data", "~/x.csv", "--json").out == expected
    assert merge(("file", {"data": {"name": "~/x.csv"}})).data.name == "~/x.csv"
    assert find_source("~/x.csv").absolute_name == str(here / "x.csv")
    use("sample", "-n", 1, "--output=~/y.png")
    assert Path("y.png").is_file()


def test_several_classes_are_separated_by_commas(use: Use) -> None:
    assert find_classes("sandal,t-shirt", SPEC) == [5, 0]
    assert find_classes("a,b", Spec("commas", (4,), classes=("a", "a,b"))) == [1]
    assert find_classes("1,7", Spec("digits", (4,), classes=tuple(map(str, range(20))))) == [1, 7]


def test_a_pattern_names_a_run(use: Use, here: Path) -> None:
    (here / "runs/other").symlink_to((here / "runs/small").resolve())
    use("sample", "--run", "sm*", "-n", 1)
    assert find_runs(["*", "small"]) == ["runs/other", "runs/small", "small"]
    assert find_runs([]) == [None]
