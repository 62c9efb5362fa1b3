"""Published experiments: config files with a name, what they are expected to reach, and runs.

They belong to the package and are found by name wherever a config file is taken.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from vae_cli.errors import UsageError, mark
from vae_cli.files import exists
from vae_cli.settings.layers import (
    COMMAND_LINE,
    Layer,
    merge,
    parse_assignment,
    parse_assignments,
    read_config,
    trust_typed,
)
from vae_cli.settings.published import TABLE, Published, split_published
from vae_cli.settings.sweep import Variant, expand_sweep, parse_seeds

PACKAGE = Path(__file__).parents[1]


def named_configs(package: Path = PACKAGE) -> dict[str, Path]:
    """The files by name; they lie in the package, or beside it in a copy of the repository."""
    folder = package / "configs"
    if not folder.is_dir():
        folder = package.with_name("configs")
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find_config(name: str, key: str = "") -> Path:
    """The file of a named experiment, or else the path; `./NAME` is always a path.

    Args:
        name: of the experiment or of the file.
        key: the setting or the parameter that has this name, for the error message.

    Raises:
        UsageError: there is neither.
    """
    named = named_configs()
    if name not in named and not exists(name):
        near = difflib.get_close_matches(name, named, 1)
        hint = f"did you mean {near[0]}?" if near else "vae reproduce --list names the experiments"
        label = f"{mark(key)} {name}" if key else name
        raise UsageError(f"{label}: no such file or named experiment; {hint}")
    return named.get(name, Path(name))


def read_layers(
    file: str | None, assignments: Sequence[str], typed: Mapping[str, Any]
) -> list[Layer]:
    """The layers of a command line for `merge`: its file, each assignment, and its options.

    Raises:
        UsageError: there is no such file, it cannot be read, or an assignment is malformed.
    """
    named = [] if file is None else [(file, read_config(find_config(file, "config")))]
    trust_typed(map(parse_assignment, assignments), typed)
    return [*named, *parse_assignments(assignments), (COMMAND_LINE, typed)]


@final
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
    path = find_config(name)
    settings, published = split_published(name, read_config(path))
    if published is None:
        raise UsageError(
            f"{name} has no table [{TABLE}], so there is nothing to reproduce: "
            f"try vae train --config {name}"
        )
    layers: list[Layer] = [(name, settings), (COMMAND_LINE, typed or {})]
    start = merge(*layers).training.start
    if start:
        run = find_config(start, "training.start").stem
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
