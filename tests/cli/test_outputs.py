"""What a command writes never takes the place of data, of a file of a run, or of a user's file."""

import csv
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import Refused, Use

from vae_cli.api.model import TrainedModel
from vae_cli.cli._app import main
from vae_cli.errors import UsageError

ON_TABLES = {  # what each writes without -o
    "sample": "sample.csv",
    "reconstruct": "reconstruct.csv",
    "traverse": "traverse.csv",
    "interpolate": "interpolate.csv",
    "manifold": "manifold.csv",
    "swap": "swap.csv",
    "score": "score.csv",
    "embed": "embed.npz",
    "plot": "curves.png",
}
TABLES = [*(name for name in ON_TABLES if name != "plot"), "runs"]
OUTPUTS = [  # every option that names a file to write, of a run on a table
    *((name, "-o", f"{name}-x.csv") for name in TABLES),
    *(("runs", "-o", f"x{suffix}") for suffix in (".md", ".tex", ".json")),
    *(("plot", "-o", f"x{suffix}") for suffix in (".png", ".svg", ".pdf")),
    *(("embed", "--plot", f"x{suffix}") for suffix in (".png", ".svg", ".pdf")),
    *(("embed", "-o", f"x{suffix}") for suffix in (".npz", ".parquet")),
    ("explore", "--export", "x.html"),
    ("data", "wine.csv", "--save-example", "y.csv"),
]
ON_PICTURES = [
    *((name, "-o", "x.png") for name in ON_TABLES if name not in {"score", "embed", "plot"}),
    *((name, "-o", "x.gif") for name in ("sample", "traverse", "interpolate")),
    ("data", "-o", "x.png"),
    ("data", "--save-example", "x.png"),
]
MINE = b"mine"


def parse(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


@pytest.fixture
def own_wine(wine: Path, wine_home: Path) -> Path:
    """The folder of `wine` with a run of its own, into which the test may write."""
    (wine / "runs/wine").unlink()
    shutil.copytree(wine_home / "runs/wine", wine / "runs/wine")
    return wine


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_no_table_takes_the_place_of_the_data_of_the_run(
    wine: Path, refused: Refused, force: tuple[str, ...]
) -> None:
    before = Path("wine.csv").read_bytes()
    (wine / "link.csv").symlink_to("wine.csv")
    os.link(Path("wine.csv").resolve(), "hard.csv")
    for command in TABLES:
        for name in ("wine.csv", "runs/../wine.csv", "link.csv", "hard.csv"):
            line = refused(command, "-o", name, *force)
            assert line.startswith(f"--output {Path(name)} would overwrite the data of run wine")
    for command in ("reconstruct", "traverse", "interpolate", "swap"):
        for words in (["wine.csv"], ["--data", "wine.csv"]):
            line = refused(command, *words, "-o", "hard.csv", *force)
            assert line.startswith("--output hard.csv would overwrite what is read")
    assert Path("wine.csv").read_bytes() == before


def test_no_output_takes_the_place_of_a_file_of_a_run(own_wine: Path, refused: Refused) -> None:
    (own_wine / "runs/wine/notes.csv").write_bytes(MINE)
    taken = {path: path.read_bytes() for path in Path("runs/wine").iterdir()}
    (own_wine / "away.csv").symlink_to("runs/wine/metrics.csv")
    for name in ("metrics.csv", "samples.csv", "notes.csv", "../../away.csv"):
        for command in TABLES:
            line = refused(command, "-o", f"runs/wine/{name}", "--force")
            assert "would overwrite what is in the folder of run wine" in line
    assert "run wine" in refused("runs", "-o", "runs/wine/evaluation-a.json")
    assert "run wine" in refused("plot", "-o", "runs/wine/samples.png")
    assert {path: path.read_bytes() for path in Path("runs/wine").iterdir()} == taken


def test_a_new_file_may_lie_in_the_folder_of_a_run(use: Use, own_wine: Path) -> None:
    for _ in range(2):
        use("sample", "--run", "wine", "-o", "runs/wine/more.csv")
    assert Path("runs/wine/more.csv").exists()


def require_force(words: tuple[str, ...], use: Use, refused: Refused) -> None:
    """A file that vae did not write is replaced only with --force."""
    path = Path(words[-1])
    path.write_bytes(MINE)
    line = refused(*words)
    assert line.startswith(f"{words[-2].replace('-o', '--output')} {path} is a file that vae did")
    assert line.endswith(f": --force replaces it, and {path.stem}-2{path.suffix} is free")
    assert path.read_bytes() == MINE
    use(*words, "--force")
    assert path.read_bytes() != MINE


@pytest.mark.parametrize("word", ["mine.png", "mine.gif"])
def test_no_name_is_offered_that_the_model_could_not_write(
    word: str, own_wine: Path, refused: Refused
) -> None:
    Path(word).write_bytes(MINE)
    line = refused("sample", "--run", "wine", "-o", word)
    assert line == f"--output {word}: this model makes rows of a table; end it with .csv"


def test_every_output_of_a_table_needs_force_over_a_file_of_the_user(
    use: Use, wine: Path, refused: Refused
) -> None:
    (wine / "runs/small").unlink()  # of `use`
    for words in OUTPUTS:
        require_force(words, use, refused)
    for words in {one[0]: one for one in OUTPUTS}.values():
        use(*words)  # vae wrote the file
        with Path(words[-1]).open("ab") as file:
            file.write(b"\n")
        assert "has changed since" in refused(*words)


def test_every_output_of_pictures_needs_force_over_a_file_of_the_user(
    here: Path, use: Use, refused: Refused
) -> None:
    for words in ON_PICTURES:
        require_force(words, use, refused)
    Path("x.png").write_bytes(MINE)
    assert "is a file that vae did not write" in refused("score", "--plot", "x.png")


def test_a_default_name_that_is_taken_gets_a_number(use: Use, wine: Path) -> None:
    (wine / "runs/small").unlink()
    for command, name in ON_TABLES.items():
        Path(name).write_bytes(MINE)
        numbered = Path(name).with_stem(f"{Path(name).stem}-2")
        for _ in range(2):  # the second replaces the first, which vae wrote
            done = use(command)
            assert done.out.endswith(f"{numbered}\n")
            assert f"not {name}: it is a file that vae did not write" in done.err
        assert Path(name).read_bytes() == MINE
        assert not list(Path().glob("*-3.*"))
    use("sample", "--force")
    assert Path("sample.csv").read_bytes() != MINE


def test_data_with_the_name_of_a_command_stay(use: Use, wine: Path, refused: Refused) -> None:
    """Also if vae wrote them: samples can become data."""
    use("sample", "--run", "wine", "-n", 200)
    before = Path("sample.csv").read_bytes()
    use("train", "--data", "sample.csv", "--epochs", 1, "--name", "second", "--hidden", 4)
    for force in ([], ["--force"]):
        assert "data of run second" in refused("runs", "wine", "-o", "sample.csv", "--force")
        done = use("sample", "--run", "second", *force)
        assert "not sample.csv: it would overwrite the data of run second" in done.err
        assert done.out == "sample-2.csv\n"
    done = use("sample", "--run", "wine")  # of which they are not the data
    assert "not sample.csv: it is a file that vae did not write" in done.err
    assert Path("sample.csv").read_bytes() == before


@pytest.mark.parametrize("name", [None, "x.csv"])
def test_a_file_that_appears_meanwhile_stays(
    name: str | None,
    use: Use,
    wine: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample, path = TrainedModel.sample, Path(name or "sample.csv")

    def appearing(*arguments: object, **options: object) -> np.ndarray:
        path.write_bytes(MINE)
        return sample(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainedModel, "sample", appearing)
    words = ["sample", "--run", "wine", *(["-o", name] if name else [])]
    assert main(words) == (2 if name else 0)
    assert path.read_bytes() == MINE
    output = capfd.readouterr()
    assert ("x.csv is a file that vae did not write" in output.err) == bool(name)
    assert output.out == ("" if name else "sample-2.csv\n")


def test_without_a_place_for_the_list_of_outputs_all_files_are_a_users(
    use: Use, wine: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wine / "file").touch()
    monkeypatch.setenv("VAE_HOME", str(wine / "file"))
    assert use("sample", "--run", "wine").out == "sample.csv\n"
    assert use("sample", "--run", "wine").out == "sample-2.csv\n"
    assert "--force replaces it" in refused("sample", "--run", "wine", "-o", "sample.csv")


def test_two_outputs_of_one_command_are_two_files(here: Path, refused: Refused) -> None:
    line = refused("data", "-o", "x.png", "--save-example", "./x.png")
    assert line.startswith("--save-example x.png would overwrite the picture of --output")


@pytest.mark.filterwarnings("default")
def test_nothing_is_written_through_links_in_the_folder_of_a_run(
    own_wine: Path, refused: Refused, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("mine.json").write_bytes(MINE)
    (own_wine / "runs/wine/evaluation.json").symlink_to(own_wine / "mine.json")
    assert main(["evaluate", "--samples", "2"]) == 0
    assert "runs/wine/evaluation.json is a link to a file elsewhere" in capfd.readouterr().err
    line = refused("train", "--resume", "wine", "--epochs", 3, code=1)
    assert "runs/wine/evaluation.json is a link to a file elsewhere" in line
    assert Path("mine.json").read_bytes() == MINE


# -------------------------------------------------------------- standard output


def test_every_table_goes_to_standard_output(use: Use, wine: Path) -> None:
    (wine / "runs/small").unlink()
    for command in TABLES:
        words = [command, *(["--seed", "1"] if command == "sample" else [])]
        use(*words, "-o", "x.csv")
        done = use(*words, "-o", "-")
        assert parse(done.out) == parse(Path("x.csv").read_text()), command
        assert len(parse(done.out)) > 1
    assert not Path("-").exists()


def test_pictures_and_pages_do_not_go_to_standard_output(here: Path, refused: Refused) -> None:
    others = ("plot", "-o", ""), ("embed", "--plot", ""), ("explore", "--export", "")
    for words in (*ON_PICTURES, *others, ("score", "--plot", "")):
        line = refused(*words[:-1], "-")
        flag = words[-2].replace("-o", "--output")
        assert line.startswith(f"{flag} -: only tables go there: name a file, as in "), words
    for command in ("reconstruct", "runs", "score", "embed"):
        line = refused(command, "-o", "-", "--json")
        assert line == "--output - and --json both write to standard output: give one"


def test_a_table_has_no_picture_wherever_it_would_go(refused: Refused, wine: Path) -> None:
    for output in ("-", "x.png", "x.csv"):
        line = refused("data", "wine.csv", "-o", output)
        assert line == f"--output {output}: a table has no picture"
    line = refused("data", "wine.csv", "--save-example", "-")
    assert line == "--save-example -: only tables go there: name a file, as in example.csv"
    assert wine


def test_a_table_on_a_terminal_cannot_control_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from vae_cli.cli._output import StandardOutput
    from vae_cli.files import write_csv

    rows = [["a\x1b]0;b\x07", "\udcff"], ["c", "d"]]
    for is_terminal in (True, False):
        monkeypatch.setattr("sys.stdout.isatty", lambda answer=is_terminal: answer)
        write_csv(StandardOutput(), ["x", "y"], rows)
        text = capfd.readouterr().out
        assert ("\x1b" in text) != is_terminal
        assert text.splitlines()[0] == "x,y"
        assert text.splitlines()[-1] == "c,d"


# ------------------------------------------------------------------ from Python


def test_an_embedding_takes_the_place_of_any_file_but_data_and_files_of_a_run(
    own_wine: Path,
) -> None:
    from vae_cli import load
    from vae_cli.api.embeddings import embed, write_embedding
    from vae_cli.data.catalogue import open_dataset_for
    from vae_cli.data.dataset import ignore_progress

    shutil.copy("wine.csv", "other.csv")
    model = load("wine")
    other = embed(model, open_dataset_for(model.spec, "other.csv", ignore_progress))
    Path("mine.csv").write_bytes(MINE)
    for name in ("wine.csv", "other.csv", "runs/wine/metrics.csv"):
        before = Path(name).read_bytes()
        with pytest.raises(UsageError, match=f"{name} would overwrite .*: choose another path"):
            write_embedding(other, Path(name))
        assert Path(name).read_bytes() == before
    write_embedding(other, Path("mine.csv"))
    assert Path("mine.csv").read_bytes() != MINE
    assert main(["embed", "--run", "wine", "-o", "mine.csv", "-q"]) == 0, "vae wrote it"


# ------------------------------------------------- data in the current folder


def test_pictures_of_the_current_folder_are_data_and_outputs_are_not(
    use: Use, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path / "photos")
    noise = np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(f"{number}.png")
    Path("0.png").rename("sample.png")
    use("train", "--data", ".", "--epochs", 1, "--model", "mlp", "--name", "own")
    for words in (
        ["sample"],
        ["sample", "--force"],
        ["traverse"],
        ["sample", "-o", "a/b.jpg"],
        ["data", "."],
    ):
        assert "would lie among the pictures of" in refused(*words)
    assert use("sample", "-o", "../sample.png").out == "../sample.png\n"
    assert use("sample", "-o", "runs/own/more.png").out == "runs/own/more.png\n"
    use("embed", "-o", "z.npz")
    use("train", "--resume", "own", "--epochs", 2)  # the data are the same
