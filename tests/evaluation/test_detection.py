"""AUROC and average precision against scikit-learn."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from vae_cli.evaluation.detection import measure_detection


@given(st.lists(st.tuples(st.integers(-3, 5), st.booleans()), min_size=2, max_size=60))
def test_both_figures_are_those_of_scikit_learn(items: list[tuple[int, bool]]) -> None:
    scores, classes = zip(*[*items, (0, True), (1, False)], strict=True)
    found = measure_detection(torch.tensor(scores).double(), torch.tensor(classes))
    assert found.auroc == pytest.approx(roc_auc_score(classes, scores))
    assert found.average_precision == pytest.approx(average_precision_score(classes, scores))
    assert (found.positives, found.items) == (sum(classes), len(classes))


def test_an_infinite_score_is_the_highest() -> None:
    scores, classes = torch.tensor([1.0, torch.inf, 2.0]), torch.tensor([False, True, False])
    assert measure_detection(scores, classes)[:2] == (1.0, 1.0)
