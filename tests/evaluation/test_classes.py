"""Samples of each class, judged by a classifier that does not know the model."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from vae_cli.data.columns import Column
from vae_cli.data.dataset import NamedSplit, Spec
from vae_cli.data.split import InMemory
from vae_cli.evaluation.classes import class_figures
from vae_cli.evaluation.figures import Absent, Figure
from vae_cli.evaluation.subject import Subject
from vae_cli.model import VAE, Condition, DiagonalNormal, SquaredError, StandardNormal
from vae_cli.model.table_codec import RowLayout, fit_codec

NAMES = ("Bag", "Coat", "Shirt")
LABEL = Column(name="label", kind="category", categories=NAMES)
SPEC = Spec("clothes", (1, 3, 3), classes=NAMES, condition=(LABEL,))


def images(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images of three classes: one of the rows is light, and all pixels vary a little."""
    noise = torch.rand(count, 1, 3, 3, generator=Generator().manual_seed(seed))
    labels = torch.arange(count) % 3
    return 0.2 * noise + 0.7 * nn.functional.one_hot(labels, 3)[:, None, :, None], labels


@dataclass(eq=False)
class Draw(nn.Module):
    """A decoder that knows the images; it takes each class for the one `turn` places further."""

    turn: int

    def __post_init__(self) -> None:
        super().__init__()

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        light = y[:, :3].roll(self.turn, 1)[:, None, :, None]
        image = 0.7 * light + 0.2 * torch.special.ndtr(z.view(-1, 1, 3, 3))
        return image.logit()  # the likelihood takes logits


class Encode(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> DiagonalNormal:
        del y
        return DiagonalNormal(x.flatten(1), torch.zeros_like(x.flatten(1)))


def subject(folder: Path, turn: int) -> Subject:
    rows = torch.arange(3.0).double()[:, None]
    layout = RowLayout((LABEL,), has_indicators=True)
    condition = Condition(fit_codec(layout, InMemory.whole(rows), "quantile"), known=rows)
    model = VAE(Encode(), Draw(turn), SquaredError(), StandardNormal(9), condition=condition)
    model.register_buffer("anything", torch.zeros(()))
    parts = []
    for seed, count in ((0, 900), (1, 600)):
        x, labels = images(count, seed)
        y = condition.encode(labels.double()[:, None])
        parts.append(InMemory(x, torch.arange(count), labels, condition=y))
    train, test = parts
    named = NamedSplit(split=test, spec=SPEC, names=list(map(str, range(len(test)))))
    return Subject(model=model, train=train, test=named, folder=folder, epoch=1)


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VAE, "device", torch.device("cpu"))  # the model has no parameters


@pytest.mark.slow
def test_samples_of_the_right_class_are_told_from_those_of_another(tmp_path: Path) -> None:
    right, wrong = (class_figures(subject(tmp_path, turn), 0) for turn in (0, 1))
    values = [
        {name: one.value for name, one in found.figures.items() if isinstance(one, Figure)}
        for found in (right, wrong)
    ]
    assert list(values[0]) == ["class_accuracy", "class_accuracy_real", "frechet_classes"]
    assert [one["class_accuracy"] for one in values] == [1.0, 0.0]
    assert [one["class_accuracy_real"] for one in values] == [1.0, 1.0]
    assert 20 * values[0]["frechet_classes"] < values[1]["frechet_classes"]
    assert list(right.classes) == list(NAMES)
    of_bags = right.classes["Bag"]["accuracy"]
    assert isinstance(of_bags, Figure)
    assert "share of samples from the prior of a class (200) taken for it" in of_bags.definition


def test_a_model_without_classes_has_none_and_too_few_items_are_said(tmp_path: Path) -> None:
    told = subject(tmp_path, 0)
    few = replace(told.test, split=told.test.split.head(50), names=told.test.names[:50])
    found = class_figures(replace(told, test=few), 0)
    assert {type(one) for one in found.figures.values()} == {Absent}
    assert not found.classes
    told.model.condition = None
    assert class_figures(told, 0) == ({}, {})
