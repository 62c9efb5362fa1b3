"""How useful synthetic rows are to somebody without real ones: train on them, test on real rows.

Gradient-boosted trees learn to predict one column of a table from the others, once from synthetic
rows and once from as many real ones. Both are scored on the same held-out real rows (Esteban,
Hyland & Rätsch, 2017, https://arxiv.org/abs/1706.02633):

    a measured column   R² = 1 − Σ (y − ŷ)² / Σ (y − mean y)², or 0 if it is less
    a category          the area under the ROC curve of each class against all others, their mean

The trees are those of scikit-learn with its settings (`HistGradientBoosting`, after LightGBM: Ke et
al., 2017), because they need no tuning, take any unit, and have a branch for missing values. They
are as good as anything on tables of this size (Grinsztajn et al., 2022,
https://arxiv.org/abs/2207.08815).
"""

import difflib
from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.columns import Column
from vae_cli.errors import UsageError, mark, shorten
from vae_cli.evaluation.detection import measure_detection
from vae_cli.evaluation.similarity import vary
from vae_cli.noise import Noise

MAX_TARGETS = 10  # columns that are predicted, if none is named
MAX_CLASSES, MAX_CHOSEN_CLASSES = 100, 20  # of them, if it is named or not; each has its trees


@final
class Prediction(NamedTuple):
    """What was predicted of a column of some rows, and what it is.

    Attributes:
        truth: float64 `(M,)`; NaN where it is missing.
        predicted: values `(M,)` of a measured column, or probabilities `(M, C)` of a category.
        classes: the codes `(C,)` of the category; empty for a measured column.
    """

    truth: Tensor
    predicted: Tensor
    classes: Tensor

    def score(self, rows: Tensor) -> float:
        """R², or the mean area under the ROC curve, of some rows, int64 `(N,)`.

        NaN if the column does not vary in them.
        """
        rows = rows[~self.truth[rows].isnan()]
        truth, predicted = self.truth[rows], self.predicted[rows]
        if not len(self.classes):
            return explained_variance(truth, predicted)
        return mean_area(truth, predicted, self.classes)


def predict_column(
    fit: Tensor, test: Tensor, columns: Sequence[Column], target: int
) -> Prediction | None:
    """Learn to predict a column from the others, and predict it for other rows.

    Args:
        fit: the rows to learn from, `(N, D)`; those without the value are left out.
        test: the rows to predict, `(M, D)`.
        columns: D of them.
        target: the place of the column.

    Returns:
        The prediction; None if no row to learn from has the value.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    fit = fit[~fit[:, target].isnan()]
    if not len(fit):
        return None
    inputs, others = (to_features(rows, columns, target) for rows in (fit, test))
    y, truth = fit[:, target].numpy(), test[:, target]
    if columns[target].is_measured:
        values = HistGradientBoostingRegressor(random_state=0).fit(inputs, y).predict(others)
        return Prediction(truth, torch.from_numpy(values), torch.empty(0))
    if (y == y[0]).all():  # the trees need two classes; all rows have the same score
        return Prediction(truth, torch.ones(len(test), 1), torch.from_numpy(y[:1]))
    trees = HistGradientBoostingClassifier(random_state=0).fit(inputs, y)
    shares = torch.from_numpy(trees.predict_proba(others))
    return Prediction(truth, shares, torch.from_numpy(trees.classes_))


def to_features(rows: Tensor, columns: Sequence[Column], target: int) -> np.ndarray:
    """What the trees see of rows: the other columns `(N, F)`, categories in alphabetical order."""
    others = [(place, one) for place, one in vary(columns) if place != target]
    measured = [rows[:, place] for place, column in others if column.is_measured]
    ranks = [to_ranks(rows[:, place], column) for place, column in others if not column.is_measured]
    features: np.ndarray = torch.stack([*measured, *ranks], 1).numpy()
    return features


def to_ranks(codes: Tensor, column: Column) -> Tensor:
    """The places of the categories of codes `(N,)` in alphabetical order; NaN stays."""
    order = sorted(range(len(column.categories)), key=column.categories.__getitem__)
    ranks = torch.tensor(order).argsort().double()
    return torch.where(codes.isnan(), codes, ranks[codes.nan_to_num().long()])


def explained_variance(truth: Tensor, predicted: Tensor) -> float:
    """R² of values `(N,)`, or 0 if it is less; NaN if they do not vary."""
    squares = (truth - truth.mean()).square().sum()
    if not squares > 0:
        return torch.nan
    return max(0.0, (1 - (truth - predicted).square().sum() / squares).item())


def mean_area(truth: Tensor, shares: Tensor, classes: Tensor) -> float:
    """The mean area under the ROC curves of classes `(C,)` with probabilities `(N, C)`.

    Classes that no row has, or all, are left out; NaN if there is no other.
    """
    areas = [
        measure_detection(scores, truth == code).auroc
        for scores, code in zip(shares.T, classes, strict=True)
        if 0 < int((truth == code).sum()) < len(truth)
    ]
    return torch.tensor(areas, dtype=torch.float64).mean().item()


def choose_targets(columns: Sequence[Column], name: str, seed: int) -> list[int]:
    """The places of the columns that are predicted: that of a name, or some if it is empty.

    Without a name, these are a random part of the columns that are not constant, and have so few
    categories that it does not take long.
    """
    if name:
        return [place for place, column in enumerate(columns) if column.name == name]
    places = [
        place for place, column in vary(columns) if len(column.categories) <= MAX_CHOSEN_CLASSES
    ]
    order = torch.randperm(len(places), generator=Noise(seed).generator)[:MAX_TARGETS]
    return sorted(places[place] for place in order.tolist())


def target_absence(column: Column) -> str | None:
    """Why a column cannot be predicted; None if it can."""
    if column.kind == "constant":
        return "it never changes"
    if len(column.categories) > MAX_CLASSES:
        return f"of its {len(column.categories):,} categories at most {MAX_CLASSES} are possible"
    return None


def require_target(columns: Sequence[Column], name: str, label: str = "") -> None:
    """Check that a column can be predicted.

    Args:
        columns: of the table, also those that the model is told; none if the items are images.
        name: of the column.
        label: the column of the classes, which rows have only if the model is told it; empty if
            there is none.

    Raises:
        UsageError: there is none of that name, or it cannot be predicted.
    """
    target = mark(f"target={shorten(name)}")
    if not columns:
        raise UsageError(f"{target} is for tables, not images: leave it out")
    known = {column.name: column for column in columns}
    if name == label and name not in known:
        raise UsageError(f"{target} is the label, which the model did not learn: name a column")
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, cutoff=0)[0]
        raise UsageError(f"{target}: the model has no such column; did you mean {near}?")
    reason = target_absence(known[name])
    if reason is not None:
        raise UsageError(f"{target} cannot be predicted: {reason}; name another column")
