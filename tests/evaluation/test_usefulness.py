"""What trees learn from synthetic rows: scikit-learn's scores, and what a table allows."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score
from tables import COLUMNS, mixed_rows

from vae_cli.data.columns import Column
from vae_cli.errors import UsageError
from vae_cli.evaluation.usefulness import (
    choose_targets,
    predict_column,
    require_target,
)

NAMES = [column.name for column in COLUMNS]


def score(fit: torch.Tensor, test: torch.Tensor, name: str) -> float:
    found = predict_column(fit, test, COLUMNS, NAMES.index(name))
    assert found is not None
    return found.score(torch.arange(len(test)))


def test_the_scores_are_those_of_scikit_learn() -> None:
    fit, test = mixed_rows(800, seed=0), mixed_rows(400, seed=1)
    inputs = [rows.numpy()[:, [0, 4, 5, 2, 6]] for rows in (fit, test)]  # measured columns first
    for rows in inputs:  # and categories in alphabetical order: large, middle, small
        rows[:, 3] = 2 - rows[:, 3]
    trees = HistGradientBoostingRegressor(random_state=0).fit(inputs[0], fit[:, 1])
    expected = r2_score(test[:, 1], trees.predict(inputs[1]))
    assert score(fit, test, "age") == pytest.approx(expected)
    assert expected > 0.5
    inputs = [rows.numpy()[:, [0, 1, 4, 5, 6]] for rows in (fit, test)]
    classes = HistGradientBoostingClassifier(random_state=0).fit(inputs[0], fit[:, 2])
    shares = classes.predict_proba(inputs[1])
    areas = [roc_auc_score(test[:, 2] == code, shares[:, code]) for code in range(3)]
    assert score(fit, test, "size") == pytest.approx(np.mean(areas))


def test_rows_without_trends_are_of_no_use() -> None:
    fit, test = mixed_rows(1000, seed=0), mixed_rows(500, seed=1)
    generator = torch.Generator().manual_seed(0)
    shuffled = torch.stack([v[torch.randperm(1000, generator=generator)] for v in fit.T], 1)
    for name, useless in (("age", 0.0), ("member", 0.5)):
        assert score(fit, test, name) > 0.6
        assert score(shuffled, test, name) == pytest.approx(useless, abs=0.1)


def test_rows_with_holes_and_with_one_class_alone_are_scored() -> None:
    fit, test = mixed_rows(600, seed=0, holes=0.2), mixed_rows(300, seed=1, holes=0.2)
    assert score(fit, test, "age") > 0.5
    assert score(fit, test, "member") > 0.6
    fit[:, 6] = 1
    assert score(fit, test, "member") == 0.5
    fit[:, 6] = torch.nan
    assert predict_column(fit, test, COLUMNS, 6) is None


def test_constants_and_columns_of_many_categories_are_no_targets() -> None:
    many = Column(name="town", kind="category", categories=tuple(map(str, range(101))))
    columns = (*COLUMNS, many)
    assert choose_targets(columns, "", 0) == [0, 1, 2, 4, 5, 6]
    assert choose_targets(columns, "size", 0) == [2]
    assert len(choose_targets(COLUMNS * 20, "", 0)) == 10
    for name, said in (
        ("unit", "it never changes"),
        ("town", "of its 101 categories at most 100 are possible"),
        ("prise", "did you mean price?"),
        ("class", "is the label, which the model did not learn"),
    ):
        with pytest.raises(UsageError, match=said):
            require_target(columns, name, label="class")
    with pytest.raises(UsageError, match="for tables, not images"):
        require_target((), "price")
