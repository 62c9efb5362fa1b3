"""Named experiments with what they are expected to reach, and the runs that they need."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vae_cli.config.layers import merge, read_config
from vae_cli.config.named import find_config, named_configs
from vae_cli.config.published import TABLE, Published, split_published
from vae_cli.config.sweep import Variant, expand_sweep, parse_seeds
from vae_cli.errors import UsageError


@dataclass(frozen=True)
class Experiment:
    """An experiment that can be reproduced.

    Attributes:
        name: of the experiment.
        published: what it is expected to reach.
        variants: its runs: one with its name, or one for each seed.
    """

    name: str
    published: Published
    variants: tuple[Variant, ...]


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
    layers = [(name, settings), ("command line", typed or {})]
    if published.seeds:
        seeds = parse_seeds(",".join(map(str, published.seeds)))
        return Experiment(path.stem, published, tuple(expand_sweep(path.stem, layers, [seeds])))
    return Experiment(path.stem, published, (Variant(path.stem, merge(*layers)),))


def list_experiments() -> list[Experiment]:
    """All named experiments with a table `[published]`, by name."""
    paths = named_configs()
    names = [name for name, path in paths.items() if TABLE in read_config(path)]
    return [read_experiment(name) for name in names]


def read_experiments(
    names: Iterable[str], typed: Mapping[str, Any]
) -> tuple[list[Experiment], dict[str, Experiment]]:
    """The experiments with some names, and by name also those that they are compared with.

    Raises:
        UsageError: as in `read_experiment`, or the runs of two files would have the same name.
    """
    wanted = [read_experiment(name, typed) for name in dict.fromkeys(names)]
    if len({experiment.name for experiment in wanted}) < len(wanted):
        raise UsageError("two of these experiments have the same name: reproduce one at a time")
    needed: dict[str, Experiment] = {}
    for experiment in wanted:
        for claim in experiment.published.claims:
            for other in claim.above:
                needed.setdefault(other, read_experiment(other, typed))
        needed[experiment.name] = experiment
    return wanted, needed
