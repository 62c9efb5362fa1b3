"""What trees learn from synthetic rows: scikit-learn's scores, and what a table allows."""

import numpy as np
import pytest
import torch
from mixed_tables import COLUMNS, mixed_rows
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score

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
    fit, test = mixed_rows(800, 0), mixed_rows(400, 1)
    inputs = [np.delete(rows.numpy(), [1, 6], 1)[:, [0, 1, 5, 2, 3, 4]] for rows in (fit, test)]
    for rows in inputs:  # measured columns first, categories in alphabetical order
        rows[:, 4] = 6 - rows[:, 4]
    trees = HistGradientBoostingRegressor(random_state=0).fit(inputs[0], fit[:, 1])
    expected = r2_score(test[:, 1], trees.predict(inputs[1]))
    assert score(fit, test, "price") == pytest.approx(expected)
    assert expected > 0.8
    inputs = [np.delete(rows.numpy(), [4, 6], 1)[:, [0, 1, 2, 5, 3, 4]] for rows in (fit, test)]
    classes = HistGradientBoostingClassifier(random_state=0).fit(inputs[0], fit[:, 4])
    shares = classes.predict_proba(inputs[1])
    areas = [roc_auc_score(test[:, 4] == code, shares[:, code]) for code in range(7)]
    assert score(fit, test, "color") == pytest.approx(np.mean(areas))


def test_rows_without_trends_are_of_no_use() -> None:
    fit, test = mixed_rows(1000, 0), mixed_rows(500, 1)
    generator = torch.Generator().manual_seed(0)
    shuffled = torch.stack([v[torch.randperm(1000, generator=generator)] for v in fit.T], 1)
    for name, useless in (("price", 0.0), ("sold", 0.5)):
        assert score(fit, test, name) > 0.75
        assert score(shuffled, test, name) == pytest.approx(useless, abs=0.1)


def test_rows_with_holes_and_with_one_class_alone_are_scored() -> None:
    fit, test = mixed_rows(600, 0, missing=0.2), mixed_rows(300, 1, missing=0.2)
    assert score(fit, test, "price") > 0.5
    assert score(fit, test, "sold") > 0.7
    fit[:, 5] = 1
    assert score(fit, test, "sold") == 0.5
    fit[:, 5] = torch.nan
    assert predict_column(fit, test, COLUMNS, 5) is None


def test_constants_and_columns_of_many_categories_are_no_targets() -> None:
    many = Column(name="town", kind="category", categories=tuple(map(str, range(101))))
    columns = (*COLUMNS, many)
    assert choose_targets(columns, "", 0) == [0, 1, 2, 3, 4, 5, 7]
    assert choose_targets(columns, "cut", 0) == [3]
    assert len(choose_targets(COLUMNS * 20, "", 0)) == 10
    for name, said in (
        ("unit", "it never changes"),
        ("town", "of its 101 categories at most 100 are possible"),
        ("prise", "did you mean price?"),
    ):
        with pytest.raises(UsageError, match=said):
            require_target(columns, name)
    with pytest.raises(UsageError, match="for tables, not images"):
        require_target((), "price")
