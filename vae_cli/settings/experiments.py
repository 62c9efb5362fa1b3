"""Named experiments with what they are expected to reach, and the runs that they need."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vae_cli.errors import UsageError
from vae_cli.settings.layers import merge, read_config
from vae_cli.settings.named import find_config, named_configs
from vae_cli.settings.published import TABLE, Published, split_published
from vae_cli.settings.sweep import Variant, expand_sweep, parse_seeds


@dataclass(frozen=True)
class Experiment:
    """An experiment that can be reproduced.

    Attributes:
        name: of the experiment.
        published: what it is expected to reach.
        variants: its runs: one with its name, or one for each seed.
        start: the experiment, or its file, whose weights they start from; empty for random weights.
    """

    name: str
    published: Published
    variants: tuple[Variant, ...]
    start: str


def read_experiment(name: str, typed: Mapping[str, Any] | None = None) -> Experiment:
    """Read a named experiment, or a config file with a table `[published]`.

    Args:
        name: of the experiment or of the file.
        typed: settings that override those of the file.

    Raises:
        UsageError: there is no such file, a setting in it is not allowed, or nothing is expected.
    """
    path = find_config(name, flag="")
    settings, published = split_published(name, read_config(path))
    if published is None:
        raise UsageError(
            f"{name} has no table [{TABLE}], so there is nothing to reproduce: "
            f"try vae train --config {name}"
        )
    layers: list[tuple[str, Mapping[str, Any]]] = [(name, settings), ("command line", typed or {})]
    start = merge(*layers).training.start
    if start:
        run = find_config(start, flag="training.start").stem
        layers.append((name, {"training": {"start": run}}))
    if published.seeds:
        seeds = parse_seeds(",".join(map(str, published.seeds)))
        variants = tuple(expand_sweep(path.stem, layers, [seeds]))
    else:
        variants = (Variant(path.stem, merge(*layers)),)
    return Experiment(path.stem, published, variants, start)


def list_experiments() -> list[Experiment]:
    """All named experiments with a table `[published]`, by name."""
    paths = named_configs()
    names = [name for name, path in paths.items() if TABLE in read_config(path)]
    return [read_experiment(name) for name in names]


def read_experiments(
    names: Iterable[str], typed: Mapping[str, Any]
) -> tuple[list[Experiment], dict[str, Experiment]]:
    """The experiments with some names, and by name all whose runs they need, in order of training.

    These are the experiments that they are compared with, and those that one of them starts from.

    Raises:
        UsageError: as in `read_experiment`, the runs of two files would have the same name, or an
            experiment starts from itself.
    """
    wanted = [read_experiment(name, typed) for name in dict.fromkeys(names)]
    if len({experiment.name for experiment in wanted}) < len(wanted):
        raise UsageError("two of these experiments have the same name: reproduce one at a time")
    needed: dict[str, Experiment] = {}
    for experiment in wanted:
        above = [other for claim in experiment.published.claims for other in claim.above]
        for name, one in {other: read_experiment(other, typed) for other in above}.items():
            needed |= read_starts(one, typed)
            needed[name] = one
        needed |= read_starts(experiment, typed)
        needed[experiment.name] = experiment
    return wanted, needed


def read_starts(experiment: Experiment, typed: Mapping[str, Any]) -> dict[str, Experiment]:
    """The experiments that have to be trained before one can start, by name, in order of training.

    Raises:
        UsageError: as in `read_experiment`, or it starts from itself.
    """
    starts: list[Experiment] = []
    while source := (starts[-1] if starts else experiment).start:
        earlier = read_experiment(source, typed)
        if earlier.name in {one.name for one in (*starts, experiment)}:
            raise UsageError(f"{earlier.name} starts from itself: change its training.start")
        starts.append(earlier)
    return {one.name: one for one in reversed(starts)}
