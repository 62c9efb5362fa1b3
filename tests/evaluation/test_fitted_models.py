"""What is fitted once is kept, and is used only for what it was fitted to."""

from pathlib import Path

import pytest
import torch
from tables import COLUMNS, mixed_rows
from torch import nn

from vae_cli.data.split import InMemory
from vae_cli.evaluation.features import fitted_classifier
from vae_cli.evaluation.fitted_models import digest_split, digest_weights, keep, recall
from vae_cli.model.table_codec import RowLayout, fit_codec
from vae_cli.runs.checkpoint import Checkpoint, save_checkpoint

CPU = torch.device("cpu")


def test_what_was_kept_comes_back_for_its_digest_only(tmp_path: Path) -> None:
    path, kept = tmp_path / "x.safetensors", nn.Linear(3, 2)
    assert recall(path, nn.Linear(3, 2), "a") is None
    keep(path, kept.state_dict(), "a")
    found = recall(path, nn.Linear(3, 2), "a")
    assert found is not None
    assert torch.equal(found.weight, kept.weight)
    assert recall(path, nn.Linear(3, 2), "b") is None
    assert recall(path, nn.Linear(4, 2), "a") is None


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    keep(path, nn.Linear(3, 2).state_dict(), "a")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert recall(path, nn.Linear(3, 2), "a") is None
    path.write_bytes(b"")
    assert recall(path, nn.Linear(3, 2), "a") is None
    for bias in (torch.zeros(2, dtype=torch.float8_e4m3fn), torch.tensor([torch.nan, 0.0])):
        tensors = {"weight": torch.zeros(2, 3), "bias": bias}
        save_checkpoint(path, Checkpoint(tensors, {"made_from": "a"}))
        assert recall(path, nn.Linear(3, 2), "a") is None


def test_digests_depend_on_every_weight_and_on_the_labels() -> None:
    model = nn.Linear(3, 2)
    before = digest_weights(model)
    assert digest_weights(model) == before
    with torch.no_grad():
        model.bias[1] += 1e-6
    assert digest_weights(model) != before
    items, labels = torch.rand(5, 1, 4, 4), torch.arange(5)
    first, second = (digest_split(InMemory.whole(items, some)) for some in (labels, labels.flip(0)))
    assert first != second


def test_the_classifier_of_a_table_takes_what_a_network_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_cli.evaluation.features.STEPS", 2)
    rows = InMemory.whole(mixed_rows(60, holes=0.1), torch.arange(60) % 2)
    codec = fit_codec(RowLayout(COLUMNS, has_indicators=True), rows, "quantile")
    classifier = fitted_classifier(codec.encode_split(rows), 2, CPU, tmp_path)
    assert classifier(codec.encode(rows.items)).shape == (60, 2)


@pytest.mark.slow
def test_the_classifier_learns_once_and_is_the_same_each_time(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (300,), generator=generator)
    items = torch.rand(300, 1, 40, 8, generator=generator) * (labels.view(-1, 1, 1, 1) + 1) / 3
    split = InMemory.whole(items, labels)
    first = fitted_classifier(split, 3, CPU, tmp_path)
    (tmp_path / "classifier.safetensors").rename(tmp_path / "kept")
    again = fitted_classifier(split, 3, CPU, tmp_path)
    with torch.no_grad():
        assert (first(items).argmax(1) == labels).double().mean() > 0.95
        assert torch.equal(first.features(items), again.features(items))
        assert first.features(items).shape == (300, 64)
