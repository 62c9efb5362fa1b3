"""Which items of a training set keep their labels."""

import pytest
import torch
from torch import Tensor

from vae_cli.data.columns import Column
from vae_cli.data.dataset import Spec
from vae_cli.data.labelled import hide_labels
from vae_cli.data.split import InMemory
from vae_cli.errors import UsageError

KIND = Column(name="kind", kind="category", categories=("a", "b", "c"))
AGE = Column(name="age")
SPEC = Spec("items", (1, 4, 4), condition=(AGE, KIND))


def part(kinds: list[float]) -> InMemory:
    kind = torch.tensor(kinds).double()
    rows = torch.stack([torch.arange(len(kinds)).double(), kind], 1)
    items = torch.arange(len(kinds)).float()[:, None, None, None].expand(-1, 1, 4, 4)
    return InMemory(items, torch.arange(len(kinds)), torch.empty(0), condition=rows)


def kept(found: InMemory) -> Tensor:
    assert found.condition is not None
    known = ~found.condition.isnan()
    assert torch.equal(known[:, 0], known[:, 1])  # a condition is hidden as a whole
    return known[:, 1].nonzero()[:, 0]


def test_as_many_of_each_class_keep_their_labels_by_the_seed_and_nothing_else_changes() -> None:
    train = part([0.0] * 50 + [1.0] * 30 + [2.0] * 20)
    for labelled, count in ((0.15, 15), (12, 12), (1000, 100), (0.0001, 1), (10, 10)):
        found = hide_labels(train, SPEC, labelled, 0)
        assert found.condition is not None
        places = kept(found)
        assert len(places) == count
        counts = found.condition[places, 1].long().bincount(minlength=3)
        if count < 60:
            assert counts.max() - counts.min() <= 1
        assert torch.equal(found.condition[places], train.condition[places])  # type: ignore[index]
        assert found.items is train.items
        assert torch.equal(found.rows, train.rows)
    again, other = (kept(hide_labels(train, SPEC, 12, seed)) for seed in (0, 1))
    assert torch.equal(again, kept(hide_labels(train, SPEC, 12, 0)))
    assert not torch.equal(again, other)
    assert hide_labels(train, SPEC, 1.0, 0) is train


def test_a_small_class_gives_all_and_what_is_not_known_is_never_kept() -> None:
    train = part([0.0] * 40 + [1.0] * 2 + [float("nan")] * 8)
    found = hide_labels(train, SPEC, 20, 0)
    assert found.condition is not None
    assert found.condition[:, 1].nan_to_num(9).long().bincount().tolist()[:2] == [18, 2]
    with pytest.raises(UsageError, match="no training item of items has a label"):
        hide_labels(part([float("nan")] * 3), SPEC, 2, 0)
    with pytest.raises(UsageError, match=r"data.labelled=2.5: .* must be a whole one"):
        hide_labels(train, SPEC, 2.5, 0)
