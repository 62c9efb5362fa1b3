"""The commands as a person meets them: what they print, what they write, what repeats."""

import csv
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CONTROL, VAE, Use, Vae, call
from PIL import Image

from vae_cli import __version__, checkpoint, config, runs
from vae_cli.cli import main
from vae_cli.config import Config

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
FILES = {
    "config.toml",
    "metrics.csv",
    "best.safetensors",
    "last.safetensors",
    "reconstructions.png",
    "samples.png",
}
Grid = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def again(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The run of `home` once more from its own config: what was printed, and its folder."""
    folder = tmp_path_factory.mktemp("again")
    settings = home / "runs" / "small" / "config.toml"
    done = call("train", "--config", settings, "--name", "again", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done, folder / "runs" / "again"


def pixels(path: Path | str) -> Grid:
    with Image.open(path) as picture:
        return np.array(picture).astype(int)


def tile(grid: Grid, row: int, column: int) -> Grid:
    """One tile of a grid of 28x28 tiles at scale 1."""
    return grid[1 + 29 * row : 29 + 29 * row, 1 + 29 * column : 29 + 29 * column]


def metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def tensors(run: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(run / "best.safetensors").tensors


# --------------------------------------------------------------------- train


def test_training_prints_a_plain_table_with_a_row_an_epoch(
    again: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, run = again
    assert not CONTROL.search(done.stdout + done.stderr)
    head, *rows, reconstructions, samples = done.stdout.splitlines()
    assert head.split()[0] == "epoch"
    assert [row.split()[0] for row in rows] == ["1", "2"]
    assert (reconstructions, samples) == (
        "runs/again/reconstructions.png",
        "runs/again/samples.png",
    )
    assert {len(line) for line in (head, *rows)} == {len(head)}, "columns are aligned"
    for row, kept in zip(rows, metrics(run), strict=True):
        *numbers, active, seconds = row.split()
        assert [float(number) for number in numbers] == pytest.approx(
            [float(value) for value in list(kept.values())[:7]], abs=1e-3
        )
        assert active == f"{kept['active_dims']}/20"
        assert float(seconds) == pytest.approx(float(kept["seconds"]), abs=0.01)


def test_training_says_where_it_runs_and_what_to_do_next(
    again: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, _ = again
    assert "runs/again" in done.stderr.splitlines()[0]
    assert "cpu" in done.stderr or "cuda" in done.stderr
    for verb in ("reconstruct", "sample", "traverse"):
        assert f"vae {verb}" in done.stderr


def test_a_run_leaves_its_files_and_no_others(
    again: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    _, run = again
    assert {path.name for path in run.iterdir()} == FILES
    settings = config.resolve(("file", config.read(run / "config.toml")))
    assert settings.training.epochs == len(metrics(run)) == 2
    assert settings.training.device != "auto"
    for name in ("reconstructions.png", "samples.png"):
        assert pixels(run / name).std() > 10


def test_losses_add_up_and_fall(home: Path) -> None:
    rows = [
        {key: float(value) for key, value in row.items()} for row in metrics(home / "runs/small")
    ]
    for row in rows:
        for part in ("train", "test"):
            total = row[f"{part}_mse"] + row[f"{part}_kl"]
            assert row[f"{part}_loss"] == pytest.approx(total, abs=1e-3)
    assert rows[1]["test_loss"] < rows[0]["test_loss"]


def test_a_runs_own_config_repeats_it_bit_for_bit(
    home: Path, again: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    old, new = home / "runs" / "small", again[1]
    for name in ("config.toml", "reconstructions.png", "samples.png"):
        assert (old / name).read_bytes() == (new / name).read_bytes(), name
    lines = [
        [line.rpartition(b",")[0] for line in (run / "metrics.csv").read_bytes().splitlines()]
        for run in (old, new)
    ]
    assert lines[0] == lines[1], "all but the seconds, which stand last"
    assert metrics(old)[0].popitem()[0] == "seconds"
    one, other = tensors(old), tensors(new)
    assert one.keys() == other.keys()
    assert any(name.startswith("state.model.") for name in one)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_another_seed_is_another_run(use: Use, here: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        use("train", "--limit", 256, "--epochs", 1, "--seed", seed, "--name", name, "-q")
    one, other = tensors(here / "runs/a"), tensors(here / "runs/b")
    weights = [name for name in one if name.startswith("state.model.") and name.endswith("weight")]
    assert weights
    assert not any(torch.equal(one[name], other[name]) for name in weights)


def test_json_of_training_is_the_whole_of_stdout(use: Use, here: Path) -> None:
    said = use("train", "--limit", 256, "--epochs", 2, "--name", "j", "--json")
    found = json.loads(said.out)
    assert found["run"] == "runs/j"
    kept = [{key: float(value) for key, value in row.items()} for row in metrics(here / "runs/j")]
    assert found["epochs"] == kept
    assert {type(row["epoch"]) for row in found["epochs"]} == {int}


def test_flags_stand_over_assignments_over_the_file_over_defaults(use: Use, here: Path) -> None:
    (here / "mine.toml").write_text(
        "[data]\nlimit = 99\n[training]\nepochs = 9\nseed = 9\nbatch_size = 64\n"
        "[model]\nhidden = [9, 9]\nlatent_dim = 4\n"
    )
    use(
        *("train", "--config", "mine.toml", "--name", "p", "-q"),
        *("--set", "training.epochs=8", "--set", "training.seed=8", "--set", "data.limit=130"),
        *("--set", "data.limit=140", "--epochs", 1, "--hidden", 32, "--hidden", 16),
    )
    settings = config.resolve(("file", config.read(here / "runs/p/config.toml")))
    assert settings.training.epochs == 1, "a flag over --set over the file"
    assert settings.training.seed == 8, "--set over the file"
    assert settings.data.limit == 140, "a later --set over an earlier one"
    assert settings.model.hidden == (32, 16), "a flag over the file"
    assert settings.training.batch_size == 64, "the file over the default"
    assert settings.model.latent_dim == 4
    assert settings.objective.beta == 1.0, "the default"
    assert tensors(here / "runs/p")["kl_by_dim"].shape == (4,)


def test_a_flag_typed_with_its_default_still_stands_over_the_file(use: Use, here: Path) -> None:
    (here / "mine.toml").write_text("[model]\nlatent_dim = 4\n")
    words = ("--config", "mine.toml", "--latent-dim", 20, "--limit", 64, "--epochs", 1)
    use("train", *words, "--name", "p", "-q")
    assert tensors(here / "runs/p")["kl_by_dim"].shape == (20,)


def test_runs_without_a_name_begun_in_one_second_do_not_collide(tmp_path: Path) -> None:
    made = {runs.create(Config(), None, tmp_path).path for _ in range(3)}
    assert len(made) == 3


# ------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--limit", 64, "--epochs", 1),
        ("sample",),
        ("reconstruct",),
        ("reconstruct", "--sample"),
        ("traverse", "--dim", "all"),
        ("interpolate",),
        ("embed", "--plot", "map.png"),
        ("data",),
    ],
)
def test_quiet_prints_nothing_at_all(use: Use, words: tuple[object, ...]) -> None:
    assert use(*words, "--quiet") == ("", "")


@pytest.mark.parametrize(
    "words",
    [
        ("reconstruct", "--json", "-q"),
        ("data", "--json", "--quiet"),
        ("traverse", "--json"),
        ("embed", "--json", "-q"),
    ],
)
def test_json_is_printed_even_when_quiet(use: Use, words: tuple[object, ...]) -> None:
    assert json.loads(use(*words).out)


def test_a_pipe_gets_the_result_on_stdout_and_the_rest_on_stderr(vae: Vae, home: Path) -> None:
    done = vae("sample", "--seed", 1, "-o", "no/such/folder/a.png", "--run", home / "runs/small")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "no/such/folder/a.png\n"
    assert "runs/small" in done.stderr
    assert not CONTROL.search(done.stdout + done.stderr)


def on_a_terminal(folder: Path, *words: str, **environment: str) -> str:
    """What a person's terminal receives."""
    master, slave = pty.openpty()
    kept = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "CI"}}
    with subprocess.Popen(
        [VAE, *words],
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**kept, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    ) as process:
        os.close(slave)
        received = b"".join(pieces(master))
    os.close(master)
    assert process.returncode == 0, received.decode()
    return received.decode()


def pieces(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the last writer has closed it
            return
        if not piece:
            return
        yield piece


def test_a_terminal_shows_a_moving_bar_and_is_left_as_it_was(tmp_path: Path) -> None:
    seen = on_a_terminal(tmp_path, "train", "--limit", "2048", "--epochs", "6", "--name", "t")
    frames = {line for line in re.split(r"[\r\n]+", seen) if "━" in line}
    assert len(frames) >= 3, "the bar moves"
    assert "items/s" in seen
    assert COLOUR.search(seen)
    assert seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l"), "the cursor is back"
    assert seen.rfind("━") < seen.rfind("samples.png"), "and the bar is gone"
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    for epoch in range(1, 7):
        assert re.search(rf"[\r\n] +{epoch} +\d", text), f"row {epoch} starts a line"


def test_no_color_on_a_terminal_gives_no_colour(tmp_path: Path) -> None:
    words = ("train", "--limit", "64", "--epochs", "1", "--name", "t")
    assert not COLOUR.search(on_a_terminal(tmp_path, *words, NO_COLOR="1"))


# -------------------------------------------------------------------- sample


def test_a_grid_of_samples_has_the_asked_size(use: Use) -> None:
    use("sample", "-n", 7, "--columns", 3, "--scale", 1, "-o", "a.png")
    assert pixels("a.png").shape == (3 * 29 + 1, 3 * 29 + 1)
    use("sample", "-n", 2, "--columns", 5, "--scale", 4, "-o", "b.png")
    assert pixels("b.png").shape == (28 * 4 + 2 * 2, 2 * (28 * 4 + 2) + 2)


def test_a_seed_decides_every_byte_of_the_samples(use: Use, here: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        said = use("sample", "-n", 4, "--seed", seed, "-o", f"{name}.png")
        assert "seed" not in said.err
    a, b, c = ((here / f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize(
    "words", [("sample",), ("reconstruct", "--sample"), ("traverse", "--sample")]
)
def test_a_seed_that_was_drawn_is_said_and_repeats_the_picture(
    use: Use, here: Path, words: tuple[str, ...]
) -> None:
    said = use(*words, "-o", "a.png")
    seed = re.search(r"^seed (\d+)$", said.err, re.MULTILINE)
    assert seed
    use(*words, "--seed", seed[1], "-o", "b.png")
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()
    assert f"seed {seed[1]}\n" not in use(*words, "-o", "c.png").err, "each call draws anew"


def test_temperature_zero_gives_one_image_many_times(use: Use) -> None:
    use("sample", "-n", 4, "--temperature", 0, "--scale", 1, "-o", "a.png")
    cold = pixels("a.png")
    assert all((tile(cold, 0, 0) == tile(cold, 0, column)).all() for column in range(1, 4))
    use("sample", "-n", 4, "--seed", 1, "--scale", 1, "-o", "b.png")
    warm = pixels("b.png")
    assert not any((tile(warm, 0, 0) == tile(warm, 0, column)).all() for column in range(1, 4))


# --------------------------------------------------------------- reconstruct


def test_reconstruct_takes_pictures_of_any_size_and_mode_in_their_order(use: Use) -> None:
    shapes = {
        "c": ("RGB", (300, 20)),
        "a": ("RGBA", (5, 5)),
        "b": ("1", (28, 64)),
        "d": ("P", (9, 9)),
    }
    for name, (mode, size) in shapes.items():
        Image.new(mode, size).save(f"{name}.png")
    words = [f"{name}.png" for name in shapes]
    found = json.loads(use("reconstruct", *words, "a.png", "--json", "--scale", 1).out)
    assert [row["image"] for row in found["images"]] == [*words, "a.png"]
    assert found["output"] == "reconstruct.png"
    first, again = ([found["images"][index][key] for key in ("mse", "kl")] for index in (1, 4))
    assert first == pytest.approx(again, rel=1e-5), "the same picture twice"
    assert pixels("reconstruct.png").shape == (5 * 29 + 1, 2 * 29 + 1)


def test_the_table_and_json_of_reconstruct_agree(use: Use) -> None:
    table = use("reconstruct", "-n", 5).out.splitlines()
    found = json.loads(use("reconstruct", "-n", 5, "--json").out)["images"]
    assert table[-1] == "reconstruct.png"
    assert len(table) == 1 + 5 + 1
    for line, row in zip(table[1:-1], found, strict=True):
        *name, mse, kl = line.split()
        assert " ".join(name) == row["image"]
        assert (float(mse), float(kl)) == pytest.approx((row["mse"], row["kl"]), abs=0.006)


def test_the_mse_is_the_sum_of_squared_errors_that_one_sees(use: Use) -> None:
    found = json.loads(use("reconstruct", "-n", 3, "--scale", 1, "--json").out)["images"]
    grid = pixels("reconstruct.png") / 255
    for index, row in enumerate(found):
        seen = ((tile(grid, index, 0) - tile(grid, index, 1)) ** 2).sum()
        assert row["mse"] == pytest.approx(seen, rel=0.01)


def test_reconstruct_is_the_posterior_mean_unless_drawn(use: Use, here: Path) -> None:
    drawn = ("--sample", "--seed")
    for name, words in (
        ("a", ()),
        ("b", ()),
        ("c", (*drawn, 1)),
        ("d", (*drawn, 1)),
        ("e", (*drawn, 2)),
    ):
        use("reconstruct", "-n", 2, *words, "-o", f"{name}.png")
    a, b, c, d, e = ((here / f"{name}.png").read_bytes() for name in "abcde")
    assert a == b
    assert c == d
    assert len({a, c, e}) == 3


def test_a_photo_on_white_gives_advice_that_works(use: Use) -> None:
    photo = Image.new("L", (40, 40), 255)
    photo.paste(30, (10, 10, 30, 30))
    photo.save("white.png")
    said = use("reconstruct", "white.png", "--json")
    assert "white.png: the background is light" in said.err
    assert "try --invert" in said.err
    advised = use("reconstruct", "white.png", "--invert", "--json", "-o", "inverted.png")
    assert "--invert" not in advised.err
    assert json.loads(advised.out)["images"][0]["mse"] < json.loads(said.out)["images"][0]["mse"]
    assert "--invert" in use("traverse", "white.png").err


def test_a_photo_on_black_is_not_to_be_inverted(use: Use) -> None:
    photo = Image.new("L", (40, 40), 0)
    photo.paste(200, (10, 10, 30, 30))
    photo.save("black.png")
    assert "--invert" not in use("reconstruct", "black.png").err
    assert "leave out --invert" in use("reconstruct", "black.png", "--invert").err


# ------------------------------------------------------------------ traverse


def test_a_traversal_has_a_column_an_offset(use: Use) -> None:
    found = json.loads(use("traverse", "--offset", "-0.5:3:0.25", "--scale", 1, "--json").out)
    assert found["offsets"] == [-0.5 + 0.25 * step for step in range(14)]
    assert pixels("traverse.png").shape == (28 + 2, 14 * 29 + 1)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ("0:1:0.1", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ("-1:1.2:0.2", [-1, -0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1]),
        ("0.1:0.7:0.2", [0.1, 0.3, 0.5]),
        ("1:1.3:0.1", [1, 1.1, 1.2]),
        ("2:-1:-1", [2, 1, 0]),
        ("0:1:5", [0]),
    ],
)
def test_the_end_of_a_range_is_left_out(use: Use, offset: str, expected: list[float]) -> None:
    found = json.loads(use("traverse", "--offset", offset, "--json").out)
    assert found["offsets"] == pytest.approx(expected)


def test_offset_zero_is_the_reconstruction(use: Use) -> None:
    use("reconstruct", "-n", 1, "--scale", 1)
    use("traverse", "--scale", 1, "--offset", "-0.5:3:0.25")
    walk, still = pixels("traverse.png"), tile(pixels("reconstruct.png"), 0, 1)
    assert abs(tile(walk, 0, 2) - still).max() <= 1
    assert abs(tile(walk, 0, 13) - still).max() > 20, "and the far end is not"


def test_a_traversal_starts_from_the_picture_or_the_index(use: Use) -> None:
    use("reconstruct", "-n", 3, "--scale", 1)
    tests = pixels("reconstruct.png")
    Image.fromarray(tile(tests, 2, 0).astype(np.uint8)).save("in.png")
    for words in (("in.png",), ("--index", 2)):
        use("traverse", *words, "--offset", "0:1:1", "--scale", 1)
        assert abs(tile(pixels("traverse.png"), 0, 0) - tile(tests, 2, 1)).max() <= 1


def test_each_dimension_has_a_row_in_the_order_asked(use: Use) -> None:
    words = ("traverse", "--offset", "-2:3:2", "--scale", 1, "--json")
    both = json.loads(use(*words, "--dim", 3, "--dim", 0).out)
    assert [row["dim"] for row in both["rows"]] == [3, 0]
    rows = pixels("traverse.png")
    assert rows.shape == (2 * 29 + 1, 3 * 29 + 1)
    assert not (tile(rows, 0, 0) == tile(rows, 1, 0)).all()
    assert abs(tile(rows, 0, 1) - tile(rows, 1, 1)).max() <= 1, "offset 0 is the same in each row"
    for index, dim in enumerate((3, 0)):
        use(*words, "--dim", dim)
        alone = pixels("traverse.png")
        for column in range(3):
            assert abs(tile(alone, 0, column) - tile(rows, index, column)).max() <= 1


def test_all_dimensions_come_most_informative_first(use: Use, home: Path) -> None:
    found = json.loads(use("traverse", "--dim", "all", "--scale", 1, "--json").out)
    kl = tensors(home / "runs/small")["kl_by_dim"]
    assert sorted(row["dim"] for row in found["rows"]) == list(range(20))
    assert [row["kl"] for row in found["rows"]] == sorted(kl.tolist(), reverse=True)
    assert all(row["kl"] == float(kl[row["dim"]]) for row in found["rows"])
    assert pixels("traverse.png").shape == (20 * 29 + 1, len(found["offsets"]) * 29 + 1)
    table = use("traverse", "--dim", "all").out.splitlines()
    dims = [int(line.split()[1]) for line in table[1:-1]]
    assert dims == [row["dim"] for row in found["rows"]]


# ---------------------------------------------------------------------- data


def test_data_takes_its_name_with_and_without_the_flag(use: Use, here: Path) -> None:
    (here / "t.csv").write_text("a,b\n" + "".join(f"{n},{n * n}\n" for n in range(40)))
    assert use("data", "t.csv") == use("data", "--data", "t.csv")


def test_data_counts_each_class(use: Use) -> None:
    found = json.loads(use("data", "--scale", 1, "--columns", 3, "--json").out)
    assert found["shape"] == [1, 28, 28]
    assert len({row["name"] for row in found["classes"]}) == 10
    assert {(row["train"], row["test"]) for row in found["classes"]} == {(6000, 1000)}
    height, width = pixels("data.png").shape
    assert height == 10 * 29 + 1
    assert width > 3 * 29 + 1, "the names stand beside the rows"
    table = use("data").out.splitlines()
    assert table[-2].split() == ["all", "60000", "10000"]
    assert table[-1] == "data.png"


# ---------------------------------------------------------------------- runs


@pytest.fixture
def three(here: Path, home: Path) -> Path:
    """Finished runs `old` and `new`, and `half`, newer than both, that is not finished."""
    (here / "runs" / "small").unlink()
    for when, name in ((1000, "new"), (500, "old"), (2000, "half")):
        run = here / "runs" / name
        skipped = ["last.safetensors"] + (["samples.png"] if name == "half" else [])
        shutil.copytree(home / "runs/small", run, ignore=shutil.ignore_patterns(*skipped))
        for path in run.iterdir():
            os.utime(path, (when, when))
    return here


@pytest.mark.usefixtures("three")
def test_the_newest_finished_run_is_taken_and_said(use: Use, three: Path) -> None:
    for words in (("sample", "--seed", 1), ("reconstruct",), ("traverse",)):
        assert "runs/new," in use(*words).err
    os.utime(three / "runs/old/samples.png", (3000, 3000))
    assert "runs/old," in use("sample").err


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("selector", ["old", "runs/old", "./runs/old/", "half"])
def test_a_run_is_chosen_by_name_or_path(use: Use, selector: str) -> None:
    assert f"runs/{Path(selector).name}," in use("sample", "--run", selector).err


def test_a_run_works_wherever_it_is_moved(use: Use, here: Path, home: Path) -> None:
    (here / "elsewhere").mkdir()
    shutil.copy(home / "runs/small/best.safetensors", here / "elsewhere")
    use("sample", "--run", "elsewhere", "--seed", 3, "-o", "a.png")
    use("sample", "--run", "small", "--seed", 3, "-o", "b.png")
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()


# ------------------------------------------------------------------- imports


def imported(folder: Path, *calls: str) -> set[str]:
    """The modules that a fresh process has imported after these command lines."""
    script = (
        "import sys; from vae_cli.cli import main\n"
        "for line in sys.argv[1:]: assert main(line.split()) == 0\n"
        "sys.stderr.write('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *calls],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines()[-1].split())


def test_help_and_version_import_nothing_slow(tmp_path: Path) -> None:
    commands = ("train", "reconstruct", "sample", "traverse", "interpolate", "embed", "data")
    calls = ["--version", "--help", *(f"{command} --help" for command in commands)]
    found = imported(tmp_path, *calls)
    assert not found & {"torch", "torchvision", "PIL", "numpy", "safetensors", "matplotlib"}


def test_sampling_imports_no_torchvision(home: Path, tmp_path: Path) -> None:
    found = imported(tmp_path, f"sample --run {home / 'runs/small'}")
    assert "torch" in found
    assert not found & {"torchvision", "matplotlib"}


def test_the_module_is_the_command(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "vae_cli", "--version"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"vae {__version__}\n", "")


@pytest.mark.parametrize(
    "command", ["train", "reconstruct", "sample", "traverse", "interpolate", "embed", "data"]
)
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in ("--help", "-h"):
        assert main([command, word]) == 0
        out, err = capsys.readouterr()
        assert f"Usage: vae {command}" in out
        assert f"vae {command}" in out.partition("Example:")[2]
        assert err == ""
