"""How well the holes of a table are filled, beside column means and scikit-learn's regressions.

    python tests/benchmarks/imputation.py TRAIN.csv TEST.csv [--epochs 200 ...]

20 % of the cells of both tables are hidden at random. Each method learns from the first one with
its holes, and fills those of the second one. The regressions are those of `IterativeImputer` with
its defaults, in which a category has an indicator for each value but the first. Printed are the
root mean squared error in units of the deviation, the mean over the columns of numbers, and the
share of categories that are right, the mean over their columns. Other words are for `vae train`.
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

from vae_cli.cli._app import main

HIDDEN = 0.2
Fill = Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]


def hide(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The table without a fifth of its cells."""
    return table.astype(object).mask(np.random.default_rng(seed).random(table.shape) < HIDDEN)


def fill_with_means(train: pd.DataFrame, holes: pd.DataFrame) -> pd.DataFrame:
    """Means of numbers, and the most frequent categories."""
    numbers = train.select_dtypes("number")
    most = train.drop(columns=numbers.columns).mode().iloc[0]
    return holes.where(holes.notna(), pd.concat([numbers.mean(), most]), axis=1)


def fill_with_regressions(train: pd.DataFrame, holes: pd.DataFrame) -> pd.DataFrame:
    """Each column from all others, by Bayesian ridge regressions in turn."""
    known = {name: sorted(column.dropna().unique()) for name, column in categories(train).items()}
    coded, given = (encode(table, known) for table in (train, holes))
    mean, deviation = coded.mean(), coded.std().replace(0, 1)
    with warnings.catch_warnings(action="ignore"):
        imputer = IterativeImputer(random_state=0).fit((coded - mean) / deviation)
        values = imputer.transform((given - mean) / deviation)
    fitted = pd.DataFrame(values, columns=coded.columns) * deviation + mean
    full = holes.copy()
    for name in holes:
        if name not in known:
            full[name] = fitted[name].to_numpy()
            continue
        shares = fitted[[f"{name} {text}" for text in known[name][1:]]].to_numpy()
        places = np.column_stack([1 - shares.sum(1), shares]).argmax(1)
        full[name] = holes[name].fillna(pd.Series(np.array(known[name], object)[places]))
    return full


def categories(table: pd.DataFrame) -> pd.DataFrame:
    """The columns that hold no numbers."""
    return table.select_dtypes(exclude="number")


def encode(table: pd.DataFrame, known: dict[str, list[str]]) -> pd.DataFrame:
    """Numbers, and indicators of each category but the first, with NaN for a hole."""
    parts = []
    for name, column in table.items():
        if name not in known:
            parts.append(column.astype(float).rename(name))
            continue
        hits = {f"{name} {text}": (column == text).astype(float) for text in known[name][1:]}
        parts.append(pd.DataFrame(hits).mask(column.isna()))
    return pd.concat(parts, axis=1)


def fill_with_vae(words: list[str]) -> Fill:
    """The model that `vae train` makes with some words."""

    def fill(train: pd.DataFrame, holes: pd.DataFrame) -> pd.DataFrame:
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            train.to_csv("train.csv", index=False)
            holes.to_csv("holes.csv", index=False)
            assert main(["train", "--data", "train.csv", "--name", "model", "-q", *words]) == 0
            assert main(["impute", "holes.csv", "-o", "full.csv", "-q"]) == 0
            return pd.read_csv("full.csv", dtype=dict.fromkeys(categories(train), str))

    return fill


def measure(full: pd.DataFrame, truth: pd.DataFrame, holes: pd.DataFrame) -> tuple[float, float]:
    """The mean normalised error of numbers, and the mean accuracy of categories."""
    hidden, names = holes.isna(), set(categories(truth))
    errors = [
        np.sqrt((((full[name] - truth[name])[hidden[name]].astype(float)) ** 2).mean())
        / truth[name].std()
        for name in truth
        if name not in names
    ]
    right = [(full[name] == truth[name])[hidden[name]].mean() for name in names]
    return float(np.mean(errors)), float(np.mean(right)) if right else float("nan")


def compare(train_path: Path, test_path: Path, words: list[str]) -> None:
    """Print the figures of each method."""
    train, truth = pd.read_csv(train_path), pd.read_csv(test_path)
    names = list(categories(train))
    train[names], truth[names] = train[names].astype(str), truth[names].astype(str)
    kinds = train.dtypes
    learned, holes = hide(train, 0), hide(truth, 1)
    learned = learned.astype({name: float for name in train if kinds[name].kind in "if"})
    methods = {"means": fill_with_means, "regressions": fill_with_regressions}
    for name, fill in (methods | {"vae": fill_with_vae(words)}).items():
        start = time.process_time()
        error, accuracy = measure(fill(learned, holes), truth, holes)
        seconds = time.process_time() - start
        print(f"{name}: error {error:.3f}, accuracy {accuracy:.3f}, {seconds:.0f} s", flush=True)  # noqa: T201


if __name__ == "__main__":
    first, second, *others = sys.argv[1:]
    compare(Path(first), Path(second), others)
