"""`vae evaluate`."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vae_cli import __version__
from vae_cli.cli._console import Terminal
from vae_cli.cli._figures import print_evaluations
from vae_cli.cli._inputs import RunChoice, opened_together
from vae_cli.cli._options import (
    Data,
    Device,
    FixedSeed,
    Processes,
    ResultTerminal,
    refuse_unused,
)
from vae_cli.cli._processes import stop_signals
from vae_cli.errors import plural
from vae_cli.runs.lookup import has_wildcards, select_runs

if TYPE_CHECKING:
    from vae_cli.api.evaluation import Sampler
    from vae_cli.api.model import TrainedModel
    from vae_cli.evaluation.features import Comparison
    from vae_cli.evaluation.report import Evaluation
    from vae_cli.evaluation.subject import Subject
    from vae_cli.evaluation.tables import Synthesis
    from vae_cli.training import World

MINUTE = 60  # seconds


def command(
    *,
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            help="Name or path of a run, or a pattern such as 'beta-*'; repeat it to compare "
            "several. "
            "[default: the newest finished run]",
            rich_help_panel="Model",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            help="Importance samples of each item. [default: up to 5000, as fit into 10 minutes]",
        ),
    ] = None,
    seed: FixedSeed = 0,
    features: Annotated[
        Literal["classifier", "inception"],
        typer.Option(
            help="Features by which samples are compared with images: those of a small classifier "
            "that is trained on the data, or those of Inception, as in papers.",
        ),
    ] = "classifier",
    inception_weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights of Inception, as torch-fidelity has them. [default: downloaded once]",
        ),
    ] = None,
    images: Annotated[
        int,
        typer.Option(
            min=100,
            max=1_000_000,
            help="Images, or rows, of each set whose features are compared, if there are as many.",
        ),
    ] = 10_000,
    sampler: Annotated[
        Literal["auto", "prior", "gmm", "flow", "codes"],
        typer.Option(help="Source of the latents of the rows of a table that are judged."),
    ] = "auto",
    target: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="Column of a table that trees learn to predict from samples. "
            "[default: the mean over at most 10 columns]",
            show_default=False,
        ),
    ] = "",
    device: Device = "auto",
    processes: Processes = 1,
    data: Data = None,
    terminal: ResultTerminal,
) -> None:
    """Compute the figures that papers report, each with its standard error.

    They are kept in `runs/NAME/evaluation.json`, with their definitions.

    Example: `vae evaluate --run a --run b`
    """
    if features != "inception":
        refuse_unused(
            "--inception-weights", inception_weights is not None, "add --features inception"
        )
    choices = [RunChoice(one, device) for one in find_runs(run or [])]
    with opened_together(choices, processes, terminal, data) as (models, world):
        from vae_cli.api.evaluation import open_comparison
        from vae_cli.evaluation.report import evaluate

        subjects = open_subjects(models, terminal, world)
        comparisons = [
            open_comparison(one, features, inception_weights, images, world) for one in subjects
        ]
        syntheses = open_syntheses(models, subjects, sampler, target, terminal, world)
        count = samples or fit_samples(subjects, terminal, world)
        if features == "inception":
            note_time(subjects, comparisons, terminal, world)
        evaluations = {}
        parts = zip(models, subjects, comparisons, syntheses, strict=True)
        for model, subject, pictures, rows in parts:
            evaluation = evaluate(
                subject, count, seed, __version__, terminal.bar, pictures, rows, world
            )
            if world.rank == 0:
                keep(evaluation, model, subject, terminal)
            is_unique = [other.name for other in models].count(model.name) == 1
            evaluations[model.name if is_unique else str(model.run.path)] = evaluation
        label_data(models, subjects, terminal)
        print_evaluations(terminal, evaluations)


def keep(
    evaluation: "Evaluation", model: "TrainedModel", subject: "Subject", terminal: Terminal
) -> None:
    """Keep an evaluation in the folder of its run, and say where."""
    from vae_cli.api.evaluation import keep_evaluation

    if path := keep_evaluation(evaluation, subject):
        terminal.remark(f"{model.name}: {path}")


def open_subjects(
    models: "Sequence[TrainedModel]", terminal: Terminal, world: "World"
) -> "list[Subject]":
    """The models with their data; a warning says so at once if a folder cannot be written."""
    from vae_cli.api.evaluation import open_subject
    from vae_cli.evaluation.fitted_models import check_folder

    subjects = []
    for model in models:
        with terminal.bar("reading") as bar:
            subjects.append(open_subject(model, bar, world))
        if world.rank == 0:
            check_folder(model.run.path)
    return subjects


def find_runs(selectors: Sequence[str]) -> list[str | None]:
    """The runs to open: each that matches a pattern such as 'beta-*'; None is the newest.

    Raises:
        UsageError: a pattern matches none.
    """
    found: list[str | None] = []
    for selector in selectors:
        is_pattern = has_wildcards(selector)
        found += [str(run.path) for run in select_runs([selector])] if is_pattern else [selector]
    return found or [None]


def open_syntheses(
    models: "Sequence[TrainedModel]",
    subjects: "Sequence[Subject]",
    sampler: "Sampler",
    target: str,
    terminal: Terminal,
    world: "World",
) -> "list[Synthesis]":
    """Which rows are judged, of each run.

    Raises:
        UsageError: none of the runs is of a table, or one cannot have such rows.
    """
    from vae_cli.api.evaluation import open_synthesis

    is_of_table = any(model.spec.columns for model in models)
    is_unused = sampler not in {"auto", "prior"} and not is_of_table
    refuse_unused("--sampler", is_unused, "name the run of a table")
    with stop_signals() as signals:
        how = partial(open_synthesis, sampler=sampler, target=target, world=world)
        stage = signals.raise_in(terminal.bar)
        pairs = zip(models, subjects, strict=True)
        return [how(model, subject, stage=stage) for model, subject in pairs]


def fit_samples(subjects: "Sequence[Subject]", terminal: Terminal, world: "World") -> int:
    """The number of samples for all runs, and a note about the time that they will take."""
    from vae_cli.api.evaluation import affordable_samples

    found = [affordable_samples(subject, world) for subject in subjects]
    count = min(samples for samples, _ in found)
    minutes = count * sum(seconds for _, seconds in found) / MINUTE
    if minutes > 1:
        terminal.note(
            f"{count:,} importance samples of each item will take about {math.ceil(minutes)} "
            "minutes (10 a run is the limit; --samples sets the number)"
        )
    return count


def note_time(
    subjects: "Sequence[Subject]",
    comparisons: "Sequence[Comparison]",
    terminal: Terminal,
    world: "World",
) -> None:
    """A note about the time that the features will take, which can be hours without a GPU."""
    if world.rank > 0:
        return
    from vae_cli.evaluation.samples import measure_features

    pairs = zip(subjects, comparisons, strict=True)
    seconds = sum(measure_features(subject, one) for subject, one in pairs) / world.size
    minutes = seconds / MINUTE
    if minutes > 1:
        terminal.note(
            f"the features of Inception will take about {math.ceil(minutes)} minutes "
            "(--images sets the number of images, --device cuda is faster)"
        )


def label_data(
    models: "Sequence[TrainedModel]", subjects: "Sequence[Subject]", terminal: Terminal
) -> None:
    """Say on which data the figures are, if they are not those of the run."""
    for model, subject in zip(models, subjects, strict=True):
        if subject.relation == "other":  # of data that have changed, a warning says so
            terminal.remark(
                f"{model.name} was trained on {model.spec.name}, and is evaluated on "
                f"{subject.test.spec.name} ({plural(len(subject.test), 'item')})",
                "yellow",
            )
