"""What several processes evaluate together is what one of them finds alone."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from table_frames import to_frame
from tables import mixed_rows
from worlds import run_together

from vae_cli import train
from vae_cli.api.evaluation import affordable_samples, open_subject
from vae_cli.data.split import InMemory
from vae_cli.errors import LostProcessError
from vae_cli.evaluation.figures import Figure
from vae_cli.evaluation.fitted_models import fitted_codes
from vae_cli.evaluation.report import Evaluation, evaluate
from vae_cli.evaluation.sharing import (
    collect_rows,
    compute_once,
    first_in_turn,
    share_rows,
)
from vae_cli.evaluation.subject import Subject
from vae_cli.training import World

CPU = torch.device("cpu")


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """Images of two classes, which are dark or light."""
    random, labels = np.random.default_rng(0), np.arange(900) % 2
    pixels = random.integers(0, 120, (900, 12, 12), np.uint8) + 130 * labels[:, None, None]
    np.savez(tmp_path / "images.npz", images=pixels.astype(np.uint8), labels=labels)
    return trained(tmp_path, "images.npz", monkeypatch)


@pytest.fixture
def told(images: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """The same images, and a model that is told their class."""
    del images
    return trained(tmp_path, "images.npz", monkeypatch, condition=["label"])


@pytest.fixture
def coded(images: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """The same images, told their class, with latents that are codes, and a prior over them."""
    del images
    monkeypatch.setattr("vae_cli.training.code_fit.MAX_STEPS", 40)
    monkeypatch.setattr("vae_cli.training.code_fit.MIN_STEPS", 40)
    more = {"posterior": {"name": "fsq", "levels": [8, 5]}}
    subject = trained(tmp_path, "images.npz", monkeypatch, ["label"], more)
    fitted_codes(subject.model, lambda: subject.train, subject.folder)
    return subject


@pytest.fixture
def noisy(images: Subject) -> Subject:
    """The same images; samples and reconstructions have the spread of p(x|z)."""
    return replace(images, samples_noise=True)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """Rows with numbers, dates and categories."""
    frame = to_frame(mixed_rows(900, seed=0)).iloc[:, 1:5]
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return trained(tmp_path, "rows.csv", monkeypatch)


@pytest.fixture
def told_rows(rows: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """The same rows, of which the model is told two columns."""
    names = [column.name for column in rows.test.spec.columns[:2]]
    return trained(tmp_path, "rows.csv", monkeypatch, names)


def trained(
    folder: Path,
    data: str,
    monkeypatch: pytest.MonkeyPatch,
    condition: Sequence[str] = (),
    more: dict[str, Any] | None = None,
) -> Subject:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("vae_cli.evaluation.sharing.chunk_length", lambda *_: 16)
    training = {"epochs": 1, "device": "cpu"}
    named = {"name": data, "test_fraction": 0.2, "condition": list(condition)}
    settings = {"data": named, "training": training, **(more or {})}
    model = {"network": "mlp", "latent_dim": 2}
    return open_subject(train({**settings, "model": model}, name=f"run{len(condition)}"))


def count_rows(world: World) -> list[int]:
    split = InMemory.whole(torch.arange(2500.0)[:, None])
    return collect_rows(split, lambda batch: batch.x, CPU, world)[:, 0].int().tolist()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_each_row_arrives_once_and_in_order(size: int) -> None:
    first, *others = run_together(size, count_rows)
    assert first == list(range(2500))
    assert not any(others), "only one of them needs the memory"


def evaluate_together(subject: Subject, size: int) -> list[Evaluation]:
    return run_together(size, lambda world: evaluate(subject, 2, 0, "", world=world))


def require_same(found: Evaluation, expected: Evaluation) -> None:
    """Check all figures; features of samples may be rounded in another way."""
    assert found.figures.keys() == expected.figures.keys()
    assert found.kl_by_dim == expected.kl_by_dim
    for name, figure in expected.figures.items():
        other = found.figures[name]
        if name.startswith("frechet") and isinstance(figure, Figure):
            assert isinstance(other, Figure)
            assert other.value == pytest.approx(figure.value, rel=1e-4)
            assert other.error == pytest.approx(figure.error, rel=1e-3)
        else:
            assert other == figure, name


@pytest.mark.parametrize(
    "kind",
    [
        *("images", "noisy", "rows"),
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("told", "coded", "told_rows")),
    ],
)
def test_all_figures_are_those_of_one_process(kind: str, request: pytest.FixtureRequest) -> None:
    subject: Subject = request.getfixturevalue(kind)
    together = evaluate_together(subject, 3)  # which also fit what is kept
    expected = evaluate_together(subject, 1)[0]
    figures = {name for name, one in expected.figures.items() if isinstance(one, Figure)}
    own = {"recall", "ssim"} if "rows" not in kind else {"usefulness", "copies"}
    own |= {"class_accuracy", "frechet_classes"} if kind in {"told", "coded"} else set()
    own |= {"frechet_gmm"} if kind in {"images", "noisy"} else set()
    own |= {"bits_fitted", "frechet_codes"} if kind == "coded" else {"mutual_information"}
    assert figures > {"elbo", "log_likelihood", "mse", *own}
    for name in {"precision", "recall", "class_accuracy", "frechet_classes"} & figures:
        sampler = "with the sampler codes" if kind == "coded" else "from the prior"
        assert f"samples {sampler}" in vars(expected.figures[name])["definition"]
    for found in together:
        require_same(found, expected)


def test_several_processes_afford_as_many_times_the_samples(
    rows: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_cli.api.evaluation.measure_sample", lambda *_: 0.5)
    seconds = [
        run_together(size, lambda world: affordable_samples(rows, world)[1]) for size in (1, 2)
    ]
    assert seconds == [[0.5 * len(rows.test)], [0.25 * len(rows.test)] * 2]


def test_an_error_of_one_process_ends_all() -> None:
    def fail(world: World) -> list[int]:
        if world.rank == 1:
            raise LostProcessError("stopped")
        found: list[int] = compute_once(lambda: [1, 2], world)
        return found

    with pytest.raises(LostProcessError, match="stopped"):
        run_together(2, fail)


def test_what_one_process_computes_is_computed_once() -> None:
    calls = list[int]()

    def note(rank: int) -> list[float]:
        calls.append(rank)
        return [1.5, torch.nan]

    def compute(world: World) -> list[float]:
        own = share_rows(lambda rows: 2 * rows, torch.arange(5.0), world).tolist()
        return [*own, *compute_once(lambda: note(world.rank), world)]

    for found in run_together(3, compute):
        assert found[:6] == [0, 2, 4, 6, 8, 1.5]
    assert calls == [0]


LONE_WORK = {
    "images": ["features.recall_or_train", "samples.fitted_mixture", "samples.frechet_distance"],
    "rows": ["codes.likelihood_figures", "tables.draw_rows"],
}


@pytest.mark.parametrize("kind", LONE_WORK)
def test_the_others_wait_for_hours_while_the_first_process_works_alone(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject: Subject = request.getfixturevalue(kind)
    calls: list[str] = []  # of process 0

    def noting(work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*words: Any, **more: Any) -> Any:
            calls.append("alone")
            return work(*words, **more)

        return noted

    for name in LONE_WORK[kind]:
        module, function = name.split(".")
        place = importlib.import_module(f"vae_cli.evaluation.{module}")
        monkeypatch.setattr(place, function, noting(getattr(place, function)))

    def work(world: Any) -> None:
        if world.rank == 0:
            world.calls = calls
        evaluate(subject, 2, 0, "", world=world)
        first_in_turn(lambda: calls.append("alone") if world.rank == 0 else None, world)

    run_together(2, work)
    ends = [after for before, after in pairwise(calls) if before == "alone" != after]
    assert ends == ["wait"] * (len(LONE_WORK[kind]) + 1), "other exchanges wait for minutes"
