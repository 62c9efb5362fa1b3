"""`vae score`: strange items among ordinary ones, pictures and rows."""

import csv
import json
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use

from vae_cli import load
from vae_cli.api.scoring import score_items
from vae_cli.cli._app import main
from vae_cli.evaluation.scores import SCORE_NAMES

STRANGE = 3  # of the images in mixed.npy: noise, an even one, and an inverted one


def stripes(count: int, seed: int) -> np.ndarray:
    """Images of 24x24 pixels with one bright column on a dark ground."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 40, (count, 24, 24), np.uint8)
    for image, place in zip(images, random.integers(0, 24, count), strict=True):
        image[:, place] = 220
    return images


@pytest.fixture(scope="module")
def stripes_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run `lines`, and images of which the last three are strange."""
    folder = tmp_path_factory.mktemp("lines")
    np.save(folder / "lines.npy", stripes(1500, 0))
    noise = np.random.default_rng(2).integers(0, 256, (24, 24), np.uint8)
    strange = [noise, np.full((24, 24), 200, np.uint8), 255 - stripes(1, 3)[0]]
    np.save(folder / "mixed.npy", np.concatenate([stripes(30, 1), np.stack(strange)]))
    words = ["train", "--data", "lines.npy", "--epochs", "15", "--name", "lines", "-q"]
    with chdir(folder):
        assert main([*words, "--model", "mlp", "--hidden", "64", "--latent-dim", "4"]) == 0
    return folder


@pytest.fixture
def here(tmp_path: Path, stripes_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, made the current one, with the run and the images."""
    (tmp_path / "runs").mkdir()
    for name in ("runs/lines", "lines.npy", "mixed.npy"):
        (tmp_path / name).symlink_to(stripes_home / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


@pytest.mark.parametrize("by", ["adjusted", "likelihood", "distortion"])
def test_strange_images_come_first(use: Use, by: str) -> None:
    found = json.loads(use("score", "mixed.npy", "--by", by, "--top", STRANGE, "--json").out)
    assert {row["name"] for row in found["top"]} == {"30", "31", "32"}
    assert all(row["percentile"] == 100 for row in found["top"])
    assert found["by"] == by
    assert found["items"] == 33
    rows = read("score.csv")
    assert [row["name"] for row in rows[:STRANGE]] == [row["name"] for row in found["top"]]
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert sum(float(row["percentile"]) < 99 for row in rows) >= 28


@pytest.mark.filterwarnings("default:.*the background is")
def test_a_picture_that_looks_like_a_negative_gets_advice_that_helps(
    use: Use, refused: Refused
) -> None:
    Image.fromarray(255 - stripes(1, 5)[0]).save("negative.png")
    said = use("score", "negative.png", "--json")
    assert "try --invert" in said.err
    advised = use("score", "negative.png", "--invert", "--json")
    assert "--invert" not in advised.err
    before, after = (json.loads(one.out)["top"][0] for one in (said, advised))
    assert before["percentile"] == 100
    assert after["score"] < before["score"]
    assert "--fit" not in use("score", "negative.png", "--fit", "object").err
    assert "name one picture" in refused("score", "mixed.npy", "--invert")


def test_the_same_command_writes_the_same_bytes(use: Use) -> None:
    written = []
    for _ in range(2):
        use("score", "mixed.npy", "-o", "a.csv", "--plot", "a.png", "--top", 12)
        written.append((Path("a.csv").read_bytes(), Path("a.png").read_bytes()))
    assert written[0] == written[1]


def test_held_out_items_are_the_default_and_fill_all_percentiles(use: Use) -> None:
    output = use("score", "--top", 4)
    header, *lines, path = output.out.splitlines()
    assert "percentile" in header
    assert len(lines) == 4
    assert path == "score.csv"
    percentile = [float(row["percentile"]) for row in read("score.csv")]
    assert min(percentile) == 0
    count = len(percentile)
    assert max(percentile) == pytest.approx(100 * (1 - 1 / count))
    assert f"among {count:,} held-out items" in output.err


def test_the_columns_belong_together(use: Use) -> None:
    use("score", "mixed.npy", "--by", "complexity")
    for row in read("score.csv"):
        value = {name: float(text) for name, text in row.items() if name != "name"}
        assert value["elbo"] == pytest.approx(-value["distortion"] - value["kl"], rel=1e-6)
        expected = -value["log_likelihood"] - value["code_length"]
        assert value["score"] == pytest.approx(expected, abs=1e-4)


def test_only_a_likelihood_of_pixels_can_be_compared_with_a_code(use: Use) -> None:
    assert "complexity misleads here" in use("score", "mixed.npy", "--by", "complexity").err
    assert "misleads" not in use("score", "mixed.npy", "--run", "lines").err


def test_the_picture_shows_the_strangest_items_and_their_reconstructions(use: Use) -> None:
    found = json.loads(use("score", "mixed.npy", "--top", 4, "--json", "--plot", "s.png").out)
    assert found["output"] == ["score.csv", "s.png"]
    use("score", "mixed.npy", "--top", 4, "--plot", "bare.png", "--scale", 1, "--gap", 0)
    with Image.open("bare.png") as picture:
        grid = np.array(picture)
    assert grid.shape == (4 * 24, 2 * 24)
    mixed = np.load("mixed.npy")
    for place, row in enumerate(found["top"]):
        assert (grid[24 * place : 24 * (place + 1), :24] == mixed[int(row["name"])]).all()
    with Image.open("s.png") as picture:
        assert picture.width > 2 * 24 * 3, "captions are beside the tiles"


@pytest.mark.filterwarnings("default:.*the background is")
def test_a_folder_and_one_picture_are_scored_with_their_names(use: Use) -> None:
    Path("photos").mkdir()
    for name, image in zip(("=a.png", "b.png"), np.load("mixed.npy")[[0, 30]], strict=True):
        Image.fromarray(image).save(Path("photos", name))
    top = json.loads(use("score", "photos", "--json").out)["top"]
    assert [row["name"] for row in top] == ["b.png", "=a.png"]
    assert [row["name"] for row in read("score.csv")] == ["b.png", "'=a.png"]
    (one,) = json.loads(use("score", "photos/b.png", "--json").out)["top"]
    assert one["name"] == "b.png"
    assert one["distortion"] == pytest.approx(top[0]["distortion"], rel=0.02)


def test_the_class_of_an_item_has_a_column_of_its_own(use: Use) -> None:
    for name, image in zip(
        ("a/odd one.png", "=b/x.png"), np.load("mixed.npy")[[0, 30]], strict=True
    ):
        Path("photos", name).parent.mkdir(parents=True)
        Image.fromarray(image).save(Path("photos", name))
    wanted = [("=b/x.png", "=b"), ("a/odd one.png", "a")]
    top = json.loads(use("score", "photos", "--json").out)["top"]
    assert [(row["name"], row["label"]) for row in top] == wanted
    assert "a/odd one.png a  " in use("score", "photos").out
    rows = read("score.csv")
    assert list(rows[0])[:3] == ["name", "label", "percentile"]
    assert [(row["name"], row["label"]) for row in rows] == [("'=b/x.png", "'=b"), wanted[1]]


@pytest.mark.parametrize("value", ["1e30", "-1.7e308"])
def test_a_value_far_from_all_others_is_the_strangest_and_named(
    use: Use, wine: Path, value: str
) -> None:
    lines = (wine / "wine.csv").read_text().splitlines()
    odd = ",".join([value, *lines[1].split(",")[1:]])
    Path("odd.csv").write_text("\n".join([*lines[:4], odd, *lines[4:8]]) + "\n")
    top = json.loads(use("score", "odd.csv", "--run", "wine", "--json").out)["top"]
    assert (top[0]["name"], top[0]["percentile"]) == ("3", 100)
    assert top[0]["score"] > 10 * top[1]["score"]
    reason = top[0]["columns"][0]
    assert reason["column"] == lines[0].split(",")[0]
    assert float(reason["value"]) == float(value)
    assert reason["surprise"] > 10 * top[0]["columns"][1]["surprise"]
    assert not any("nan" in row.values() for row in read("score.csv"))
    for by in ("kl", "neighbours", "distortion"):
        use("score", "odd.csv", "--run", "wine", "--by", by)
        assert read("score.csv")[0]["name"] == "3"


def test_an_impossible_row_of_a_table_comes_first(use: Use, wine: Path) -> None:
    lines = (wine / "wine.csv").read_text().splitlines()
    odd = [f"{3 * float(cell):.3f}" for cell in lines[1].split(",")]
    Path("odd.csv").write_text("\n".join([*lines[:40], ",".join(odd)]) + "\n")
    found = json.loads(use("score", "odd.csv", "--run", "wine", "--json", "--top", 1).out)
    assert found["by"] == "likelihood"
    (first,) = found["top"]
    assert first["percentile"] == 100
    assert "code_length" not in first
    assert read("score.csv")[0]["name"] == first["name"]


def test_python_gives_the_same_scores(use: Use) -> None:
    use("score", "mixed.npy")
    scores = score_items(load("lines"), "mixed.npy")
    rows = read("score.csv")
    names = scores.text_columns()["name"]
    assert [names[place] for place in scores.order()] == [row["name"] for row in rows]
    assert set(scores.columns()) == set(rows[0]) - {"name"}


def test_every_score_has_its_place_in_the_options(use: Use, refused: Refused) -> None:
    for name in SCORE_NAMES:
        assert json.loads(use("score", "mixed.npy", "--by", name, "--json").out)["by"] == name


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-o", "a.json"], "--output a.json: end the name with .csv"),
        (["--plot", "a.gif"], "--plot a.gif: end the name with .png, .jpg or .jpeg"),
        (["nothing"], "nothing: no such folder, file or data set"),
        (["nothing.png"], "nothing.png: no such folder, file or data set"),
        (["--scale", "2"], "--scale has no effect here: leave it out, or add --plot strange.png"),
        (["a.csv", "-o", "a.csv"], "--output a.csv would overwrite what is read"),
        (["mixed.npy", "--explain", "all"], "--explain has no effect here: leave it out, or score"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    here: Path, refused: Refused, words: list[str], line: str
) -> None:
    assert refused("score", *words).startswith(line)


def test_rows_have_no_picture_and_no_code(wine: Path, refused: Refused) -> None:
    line = "--plot a.png: a table has no picture"
    assert refused("score", "--run", "wine", "--plot", "a.png", "-q") == line
    line = "--by adjusted: rows of a table have no PNG; use --by likelihood"
    assert refused("score", "--run", "wine", "--by", "adjusted", "-q") == line


def test_few_held_out_items_are_said_to_be_few(use: Use, wine: Path) -> None:
    assert (
        "held-out items, so percentiles are coarse"
        not in use("score", "mixed.npy", "--run", "lines").err
    )
    lines = (wine / "wine.csv").read_text().splitlines()
    Path("few.csv").write_text("\n".join(lines[:60]) + "\n")
    use("train", "--data", "few.csv", "--epochs", 1, "--name", "few")
    assert "held-out items, so percentiles are coarse" in use("score", "--run", "few").err


def odd_wine(wine: Path) -> str:
    """40 rows of wine, of which number 7 is as strong as brandy."""
    header, *lines = (wine / "wine.csv").read_text().splitlines()[:41]
    cells = lines[7].split(",")
    cells[0] = "40.5"
    lines[7] = ",".join(cells)
    Path("odd.csv").write_text("\n".join([header, *lines]) + "\n")
    return header.split(",")[0]


def test_a_strange_row_has_the_column_that_makes_it_strange(use: Use, wine: Path) -> None:
    column = odd_wine(wine)
    words = ["score", "odd.csv", "--run", "wine", "--top", 3]
    (first, *_) = json.loads(use(*words, "--json").out)["top"]
    assert first["name"] == "7"
    reasons = first["columns"]
    assert (reasons[0]["column"], reasons[0]["value"]) == (column, "40.5")
    assert 12 < float(reasons[0]["expected"]) < 15
    assert reasons[0]["surprise"] == max(one["surprise"] for one in reasons) > 3
    rows = read("score.csv")
    assert (rows[0]["column"], rows[0]["value"]) == (column, "40.5")
    assert float(rows[0][f"nll_{column}"]) == pytest.approx(reasons[0]["nll"], rel=1e-4)
    assert [bool(row["column"]) for row in rows] == [True] * 3 + [False] * 37
    shown = use(*words).out.splitlines()
    assert shown[0].split()[-4:] == ["column", "value", "expected", "NLL"]
    assert shown[1].split()[-4:-2] == [column, "40.5"]
    use(*words, "--explain", "all")
    assert all(row["column"] for row in read("score.csv"))
    use(*words, "--explain", "none")
    assert "column" not in read("score.csv")[0]


def test_a_threshold_marks_what_is_strange(use: Use, wine: Path) -> None:
    odd_wine(wine)
    words = ["score", "odd.csv", "--run", "wine", "--explain", "none", "--threshold", 90]
    found = json.loads(use(*words, "--json").out)
    rows = read("score.csv")
    marked = [row for row in rows if row["strange"] == "True"]
    assert all((float(row["percentile"]) >= 90) == (row in marked) for row in rows)
    assert 0 < len(marked) == found["strange"] < 40
    assert found["top"][0]["strange"] is True
    items = "1 item" if len(marked) == 1 else f"{len(marked)} items"
    assert f"at percentile 90 or above: {items} of 40" in use(*words).out


@pytest.mark.filterwarnings("default:.*ignored, because the model")
def test_scores_are_compared_with_a_column_that_is_known(
    use: Use, wine: Path, refused: Refused
) -> None:
    header, *lines = (wine / "wine.csv").read_text().splitlines()[:41]
    odd = [f"{4 * float(line.split(',')[0])},{line.partition(',')[2]},yes" for line in lines[:5]]
    usual = [f"{line},no" for line in lines[5:]]
    Path("odd.csv").write_text("\n".join([f"{header},odd", *usual, *odd, f"{lines[0]},"]) + "\n")
    words = ["score", "odd.csv", "--run", "wine", "--explain", "none"]
    label = json.loads(use(*words, "--label", "odd", "--json").out)["label"]
    assert label == {
        "column": "odd",
        "positive": "yes",
        "auroc": 1.0,
        "average_precision": 1.0,
        "positives": 5,
        "items": 40,
    }
    shown = use(*words, "--label", "odd=no").out
    assert "odd=no, 35 of 40 rows: AUROC 0.000, average precision 0." in shown
    assert refused(*words, "--label", "od", "-q") == (
        "--label od: odd.csv has no such column; did you mean odd?"
    )
    assert refused(*words, "--label", "odd=maybe", "-q") == (
        "--label odd=maybe: no row has it; there is yes, no"
    )
    first = header.split(",")[0]
    assert "say which one marks a strange row" in refused(*words, "--label", first, "-q")
