"""`vae evaluate`: the table, the file, several runs, and other data."""

import errno
import json
import math
import os
import re
import shutil
import warnings
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import Refused, Use
from table_frames import to_frame
from tables import mixed_rows

from vae_cli.cli._app import main
from vae_cli.evaluation.likelihood import likelihood_figures as likelihoods
from vae_cli.evaluation.report import evaluate
from vae_cli.runs.directory import Run, foreign_names

WORDS = ("evaluate", "--samples", 20)


@pytest.fixture(scope="module")
def stripes_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `a` and `b` on 12x12 images of stripes whose class is their direction, a factor too."""
    folder = tmp_path_factory.mktemp("stripes")
    for name, seed in (("stripes", 0), ("others", 1)):
        random = np.random.default_rng(seed)
        labels = random.integers(0, 2, 1500)
        images, places = random.integers(0, 80, (1500, 12, 12), np.uint8), labels.copy()
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            places[index] = place = random.integers(0, 12)
            image[(slice(None), place) if label else place] = 255
        factors = {"factors": np.stack([labels, places], 1), "factor_names": ["way", "place"]}
        np.savez(folder / f"{name}.npz", images=images, labels=labels, **factors)
    words = ["train", "--data", "stripes.npz", "--epochs", "3", "--hidden", "32", "-q"]
    with chdir(folder):
        assert main([*words, "--latent-dim", "3", "--name", "a"]) == 0
        assert main([*words, "--latent-dim", "2", "--name", "b", "--likelihood", "logistic"]) == 0
        assert main([*words, "--name", "c", "--likelihood", "binarized"]) == 0
    return folder


@pytest.fixture
def here(tmp_path: Path, stripes_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, made the current one, with copies of the runs."""
    (tmp_path / "runs").mkdir(exist_ok=True)
    for run in ("a", "b", "c"):
        (tmp_path / "runs" / run).mkdir()
        for file in (stripes_home / "runs" / run).iterdir():
            (tmp_path / "runs" / run / file.name).write_bytes(file.read_bytes())
    (tmp_path / "others.npz").symlink_to(stripes_home / "others.npz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluation_of(run: str, name: str = "evaluation.json") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path("runs", run, name).read_text())
    return document


def test_the_table_and_the_file_agree(use: Use) -> None:
    output = use(*WORDS, "--run", "a")
    document = evaluation_of("a")
    figures = document["figures"]
    assert set(figures["elbo"]) == {"value", "error", "definition"}
    assert document["samples"] == 20
    assert {"seed", "version", "device", "seconds", "items", "data"} <= set(document)
    assert len(document["kl_by_dim"]) == 3
    assert {"mig_chen", "sap", "dci_completeness"} <= figures.keys(), "of the factors in the file"
    assert document["features"] == "classifier"
    assert f"{figures['elbo']['value']:.1f}"[:-1] in output.out
    assert figures["elbo"]["value"] < figures["log_likelihood"]["value"]
    assert not set(figures) & set(document["absent"])
    assert all(document["absent"].values())
    assert "bits_per_dim" in document["absent"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures_and_another_seed_gives_others(use: Use) -> None:
    first, again, other = (
        json.loads(use(*WORDS, "--run", "a", "--json", "--seed", seed).out)["figures"]
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first["log_likelihood"] != other["log_likelihood"]
    error = first["log_likelihood"]["error"]
    assert abs(first["log_likelihood"]["value"] - other["log_likelihood"]["value"]) < 3 * error


@pytest.mark.slow
def test_the_factors_of_a_file_are_listed(use: Use, here: Path) -> None:
    words = ("data", "--data", "others.npz")
    said = use(*words).out
    assert "\nfactors, and how many values each has: way 2, place 12\n" in said
    assert json.loads(use(*words, "--json").out)["factors"]["way"] == ["0", "1"]


def test_several_runs_stand_side_by_side(use: Use) -> None:
    output = use(*WORDS, "--run", "a", "--run", "b")
    assert output.out.splitlines()[0].split() == ["K", "=", "20", "a", "b"]
    assert "a: " in output.err
    assert "bits_per_dim" in evaluation_of("b")["figures"]
    documents = json.loads(use(*WORDS, "--run", "a", "--run", "b", "--json").out)
    assert set(documents) == {"a", "b"}


@pytest.mark.slow
def test_black_and_white_images_are_binarized_once(use: Use) -> None:
    first, again = (json.loads(use(*WORDS, "--run", "c", "--json").out) for _ in range(2))
    assert first["figures"] == again["figures"]
    assert "bits_per_dim" in first["absent"]


def test_other_data_are_labelled_and_kept_apart(use: Use) -> None:
    output = use(*WORDS, "--run", "a", "--data", "others.npz")
    assert "was trained on stripes, and is evaluated on others" in output.err
    assert not Path("runs/a/evaluation.json").exists()
    assert evaluation_of("a", "evaluation-others.json")["data"] == "others"
    Path("elsewhere").mkdir()
    shutil.copy("others.npz", "elsewhere")
    for data in ("elsewhere/others.npz", "others.npz", "elsewhere/others.npz"):
        use(*WORDS, "--run", "a", "--data", data)
    kept = {path.name for path in Path("runs/a").glob("evaluation*")}
    assert kept == {"evaluation-others.json", "evaluation-others-2.json"}
    assert evaluation_of("a", "evaluation-others-2.json")["path"] == str(Path(data).absolute())


def test_rows_of_a_table_have_the_figures_that_fit_them(use: Use, wine: Path) -> None:
    document = json.loads(use(*WORDS, "--run", "wine", "--json").out)
    assert {"elbo", "log_likelihood", "mse", "active_units"} <= set(document["figures"])
    assert document["absent"]["ssim"] == "the items are not images"
    Path("runs/wine/evaluation.json").unlink()


@pytest.fixture(scope="module")
def measured_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run `t` on a table with columns of all kinds, and with holes."""
    folder = tmp_path_factory.mktemp("measured")
    to_frame(mixed_rows(1500, holes=0.02)).to_csv(folder / "t.csv", index=False)
    with chdir(folder):
        assert main(["train", "--data", "t.csv", "--epochs", "3", "--name", "t", "-q"]) == 0
    return folder


@pytest.fixture
def measured(tmp_path: Path, measured_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, made the current folder."""
    shutil.copytree(measured_home, tmp_path / "measured")
    monkeypatch.chdir(tmp_path / "measured")
    return tmp_path / "measured"


def test_synthetic_rows_are_judged_beside_real_ones(use: Use, measured: Path) -> None:
    first = use(*WORDS, "--run", "t")
    assert {"column shapes, real rows", "copies (0.5 is ideal)"} <= set(
        re.split(r"\s{2,}|\n", first.out)
    )
    assert "column shapes: lowest is " in first.err
    document = evaluation_of("t")
    assert (document["sampler"], document["target"]) == ("flow", "")
    values = {name: figure["value"] for name, figure in document["figures"].items()}
    for name in ("column_shapes", "pair_trends", "usefulness"):
        assert 0 < values[name] < values[f"{name}_real"] + 0.05
    assert values["copies"] == pytest.approx(0.5, abs=0.2)
    assert "6 columns, the mean" in document["figures"]["usefulness"]["definition"]
    words = (*WORDS, "--run", "t", "--target", "age", "--sampler", "gmm")
    assert use(*words).out == use(*words).out
    other = evaluation_of("t")
    assert (other["sampler"], other["target"]) == ("gmm", "age")
    assert "synthetic rows: age; 138 test rows" in other["figures"]["usefulness"]["definition"]
    assert other["figures"]["column_shapes_real"] == document["figures"]["column_shapes_real"]
    assert other["figures"]["column_shapes"] != document["figures"]["column_shapes"]


def test_rows_of_a_conditional_model_are_judged_with_what_it_is_told(
    use: Use, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a column of the condition, which is what such rows are often made for."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    sex, age = random.integers(0, 2, 1200), random.integers(18, 80, 1200)
    height = 165 + 12 * sex + random.normal(0, 5, 1200)
    lines = [f"{h:.1f},{'FM'[s]},{a}" for h, s, a in zip(height, sex, age, strict=True)]
    Path("people.csv").write_text("\n".join(["height,sex,age", *lines]))
    told = ("--condition", "sex,age", "--label", "sex", "--hidden", 16, "--latent-dim", 2)
    use("train", "--data", "people.csv", *told, "--epochs", 3, "--name", "people", "-q")
    use(*WORDS, "--run", "people", "--target", "sex")
    document = evaluation_of("people")
    assert (document["sampler"], document["target"]) == ("prior", "sex")
    figures = document["figures"]
    assert "over 3 of 3 columns" in figures["column_shapes"]["definition"]
    assert "synthetic rows: sex;" in figures["usefulness"]["definition"]
    assert figures["usefulness_real"]["value"] > 0.8
    assert {"class_accuracy", "frechet_samples"} <= figures.keys()
    assert set(document["classes"]) == {"F", "M"}
    line = refused(*WORDS, "--run", "people", "--target", "sax")
    assert "--target sax: the model has no such column; did you mean sex?" in line


def test_a_target_is_a_column_of_a_table(refused: Refused, measured: Path, here: Path) -> None:
    table = measured / "runs/t"
    line = refused(*WORDS, "--run", table, "--target", "prise")
    assert "--target prise: the model has no such column; did you mean price?" in line
    assert "--target x is for tables, not images" in refused(*WORDS, "--run", "a", "--target", "x")
    assert "--sampler has no effect" in refused(*WORDS, "--run", "a", "--sampler", "gmm")


def test_a_run_that_is_not_there_is_one_line(refused: Refused) -> None:
    assert "no run x" in refused("evaluate", "--run", "x")


def test_samples_are_compared_by_a_classifier_that_is_kept(use: Use) -> None:
    first = json.loads(use(*WORDS, "--run", "a", "--json").out)
    assert Path("runs/a/classifier.safetensors").is_file()
    again = json.loads(use(*WORDS, "--run", "a", "--json").out)
    assert first["figures"] == again["figures"]
    names = {"frechet_samples", "frechet_gmm", "frechet_reconstructions", "precision", "recall"}
    assert names <= set(first["figures"])
    assert "no flow is fitted" in first["absent"]["frechet_flow"]
    assert first["figures"]["frechet_train"]["value"] < first["figures"]["frechet_samples"]["value"]
    assert "not comparable" in first["figures"]["frechet_samples"]["definition"]


def test_inception_figures_have_names_of_their_own_and_say_whose_they_are(
    use: Use, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("torch_fidelity")

    class Means(torch.nn.Module):
        """The means of 16 parts of an image of bytes, in place of a network that takes minutes."""

        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            assert images.dtype == torch.uint8
            assert images.shape[1:] == (3, 12, 12)
            return [torch.nn.functional.avg_pool2d(images[:, 0].float(), 3).flatten(1)]

    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"weights")
    monkeypatch.setattr("vae_cli.evaluation.features.load_network", lambda path: Means())
    words = ("--features", "inception", "--inception-weights", weights, "--images", 120)
    output = use(*WORDS, "--run", "a", *words)
    document = evaluation_of("a")
    assert document["features"] == "inception"
    assert "FID (Inception), samples" in output.out
    assert "features of Inception, but not the published weights: weights.pth" in output.err
    assert "not comparable" not in output.err
    figures = document["figures"]
    assert not any(name.startswith("frechet") for name in figures)
    assert figures["fid_train"]["value"] < figures["fid_samples"]["value"]
    assert "(120) from test items (120)" in figures["fid_train"]["definition"]
    assert {"inception_precision", "inception_recall"} <= set(figures)
    assert not Path("runs/a/classifier.safetensors").exists()


def test_inception_has_no_features_of_rows(refused: Refused, wine: Path) -> None:
    line = refused(*WORDS, "--run", "wine", "--features", "inception")
    assert line.startswith("--features inception is for images, not rows")


def test_weights_without_inception_are_refused(refused: Refused) -> None:
    line = refused(*WORDS, "--run", "a", "--inception-weights", "x.pth")
    assert "--inception-weights has no effect here" in line


@pytest.mark.filterwarnings("default:the samples are those of the data")
@pytest.mark.parametrize("sampler", ["gmm", "flow"])
def test_a_sampler_is_fitted_once_and_sampled(use: Use, pixels: Any, sampler: str) -> None:
    words = ("sample", "--run", "a", "-n", 8, "--seed", 1, "--scale", 1)
    kept_file = Path(f"runs/a/sampler-{sampler}.safetensors")
    use(*words, "--sampler", sampler, "-o", "first.png")
    kept = kept_file.read_bytes()
    use(*words, "--sampler", sampler, "-o", "again.png")
    other = use(*words, "--sampler", sampler, "--data", "others.npz", "-o", "other.png")
    assert "fitted before: others.npz is not read" in other.err
    use(*words, "-o", "prior.png")
    assert kept_file.read_bytes() == kept
    assert (pixels("first.png") == pixels("again.png")).all()
    assert (pixels("first.png") != pixels("prior.png")).any()
    kept_file.write_bytes(b"damaged")
    use(*words, "--sampler", sampler, "-o", "fitted.png")
    assert (pixels("first.png") == pixels("fitted.png")).all()
    document = json.loads(use(*WORDS, "--run", "a", "--json").out)
    distances = {name: document["figures"][f"frechet_{name}"]["value"] for name in ("gmm", sampler)}
    assert all(0 < value < math.inf for value in distances.values())
    assert len(set(distances.values())) == len(distances), "each sampler has its own"
    use(*WORDS, "--run", "a", "--data", "others.npz")
    assert foreign_names(Run(Path("runs/a"))) == [], "vae knows each file that it writes there"


@pytest.mark.slow
def test_a_reason_is_said_once_for_all_runs_and_with_the_names_of_some(use: Use) -> None:
    output = use(*WORDS, "--run", "a", "--run", "b")
    lines = output.err.splitlines()
    assert (
        len([line for line in lines if line.startswith("Frechet distance, --sampler flow: ")]) == 1
    )
    assert len([line for line in lines if line.startswith("a: bits per dimension: ")]) == 1
    assert "--sampler flow" not in output.out, "a row without a number is left out"
    assert "bits per dimension" in output.out


@pytest.mark.slow
def test_the_data_of_the_run_may_be_named(use: Use, stripes_home: Path) -> None:
    use(*WORDS, "--run", "a", "--data", stripes_home / "stripes.npz")
    assert evaluation_of("a")["data"] == "stripes"


@pytest.mark.slow
def test_runs_with_the_same_name_have_columns_of_their_own(use: Use) -> None:
    shutil.copytree("runs/a", "elsewhere/a")
    runs = ("--run", "a", "--run", "elsewhere/a")
    documents = json.loads(use(*WORDS, *runs, "--json").out)
    assert len(documents) == 2


def test_figures_are_printed_if_the_folder_cannot_be_written(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.touch

    def refuse(path: Path, *words: object, **more: object) -> None:
        if path.parent.name == "a":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        real(path, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "touch", refuse)
    warnings.simplefilter("default")  # not an error, as the tests have it
    expected = "runs/a cannot be written: Read-only file system; what is computed is used, but"
    said = use(*WORDS, "--run", "a")
    assert said.err.count(expected) == 1
    assert said.err.startswith(expected), "before the work"
    assert "ELBO (nats)" in said.out
    assert "evaluation.json" not in said.err
    said = use("sample", "--run", "a", "-n", 8, "--sampler", "gmm", "-o", "a.png")
    assert said.err.count(expected) == 1
    assert Path("a.png").is_file()
    assert foreign_names(Run(Path("runs/a"))) == []
    assert not Path("runs/a/evaluation.json").exists()


def test_figures_belong_to_the_weights_that_were_evaluated(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that goes on during an evaluation, and one that goes on after it."""

    def train(epochs: int) -> None:
        best = Path("runs/a/best.safetensors").read_bytes()
        use("train", "--resume", "a", "--epochs", epochs, "-q")
        assert Path("runs/a/best.safetensors").read_bytes() != best, "a better epoch is needed here"

    def evaluate_and_train(*words: Any, **options: Any) -> Any:
        found = evaluate(*words, **options)
        train(6)
        return found

    warnings.simplefilter("default")
    with monkeypatch.context() as patch:
        patch.setattr("vae_cli.evaluation.report.evaluate", evaluate_and_train)
        said = use(*WORDS, "--run", "a")
    assert "runs/a has other weights by now, or none: the figures are not kept" in said.err
    assert not Path("runs/a/evaluation.json").exists()
    use(*WORDS, "--run", "a")
    assert json.loads(use("runs", "a", "--json").out)[0]["evaluation"]
    train(9)
    assert not json.loads(use("runs", "a", "--json").out)[0]["evaluation"]


def test_a_run_that_is_removed_during_its_evaluation_is_not_made_again(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove_and_go_on(*words: Any, **options: Any) -> Any:
        shutil.rmtree("runs/a")
        return likelihoods(*words, **options)

    warnings.simplefilter("default")
    monkeypatch.setattr("vae_cli.evaluation.codes.likelihood_figures", remove_and_go_on)
    said = use(*WORDS, "--run", "a")
    assert "ELBO (nats)" in said.out
    assert "runs/a cannot be written: No such file or directory" in said.err
    assert not Path("runs/a").exists()
