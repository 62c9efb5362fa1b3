"""Evaluating a trained model on the data of its run or others, and with fitted samplers."""

import dataclasses
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal, assert_never, get_args

import torch

from vae_cli import __version__
from vae_cli.api.model import TrainedModel, load_trained
from vae_cli.api.run_data import RunData, read_together
from vae_cli.data.dataset import Progress, Stage, ignore_progress, ignore_stage
from vae_cli.data.held_out import divide_for_validation
from vae_cli.data.labelled import hide_labels
from vae_cli.data.source import find_source
from vae_cli.data.split import InMemory
from vae_cli.errors import UsageError, VAEWarning, mark, require_known
from vae_cli.evaluation.features import (
    MAX_IMAGES,
    Comparison,
    FeatureName,
    inception_extractor,
    require_colors,
)
from vae_cli.evaluation.figures import Absent
from vae_cli.evaluation.fitted_models import (
    find_codes_head,
    fitted_codes,
    fitted_flow,
    fitted_mixture,
    keep_if_possible,
)
from vae_cli.evaluation.likelihood import choose_samples, measure_sample
from vae_cli.evaluation.report import Evaluation, evaluate, write_evaluation
from vae_cli.evaluation.sharing import compute_once, first_in_turn, wait_for_first
from vae_cli.evaluation.subject import Subject
from vae_cli.evaluation.tables import Synthesis
from vae_cli.evaluation.usefulness import require_target
from vae_cli.files import exists
from vae_cli.model import LatentSampler
from vae_cli.runs.checkpoint import read_weights_digest
from vae_cli.runs.directory import Run
from vae_cli.runs.summary import Figure, is_evaluated, read_evaluation, read_json
from vae_cli.training import ALONE, World

Fitted = Literal["gmm", "flow", "codes"]
Sampler = Literal["auto", "prior"] | Fitted
SAMPLERS = ("auto", "prior", *get_args(Fitted))
FITTED: dict[Fitted, str] = {
    "gmm": "a fitted mixture",
    "flow": "a fitted flow",
    "codes": "a fitted prior over codes",
}


def open_subject(
    model: TrainedModel, progress: Progress = ignore_progress, world: World = ALONE
) -> Subject:
    """The model with the data of its run, or with those that `load` was given.

    Args:
        model: the model.
        progress: called with what was read so far and the total.
        world: the processes that evaluate it; one on each machine reads the data.

    Raises:
        UsageError: the data are missing or do not fit the model, or none of them are held out.
    """
    dataset = read_together(f"of run {model.run.path}", model.data, progress, world)
    test = dataset.test()
    if not len(test):
        raise UsageError(f"{dataset.spec.name} has no items that are held out: nothing to evaluate")
    is_own, found = dataset.relation == "own", dataset.describe(test)
    return Subject(
        model=model.model,
        train=model.prepare(training_part(model, dataset)),
        test=dataclasses.replace(found, split=model.prepare(test)),
        folder=model.run.path,
        epoch=model.epoch,
        weights_digest=model.weights_digest,
        data_digest=model.facts.data_digest if is_own else "",
        path="" if is_own or dataset.path is None else str(dataset.path.absolute()),
        relation=dataset.relation,
        samples_noise=model.kind.samples_noise or model.model.codec.is_stochastic,
    )


def training_part(model: TrainedModel, dataset: RunData) -> InMemory:
    """The part of its training set that a run was really trained on; all of other data."""
    train, data = dataset.parts.train, model.settings.data
    if dataset.relation != "other" and data.validation:
        train, _ = divide_for_validation(train, data.validation, copies_together=data.rules > 1)
    return dataset.in_memory(train)


def affordable_samples(subject: Subject, world: World = ALONE) -> tuple[int, float]:
    """The number of importance samples that fits into the time, and the seconds for one sample.

    Several processes can afford more of them. Process 0 alone measures the time.
    """
    model, test = subject.model, subject.test.split
    seconds = compute_once(lambda: measure_sample(model, test), world) / world.size
    return choose_samples(seconds, len(test)), seconds * len(test)


def open_comparison(
    subject: Subject,
    features: FeatureName = "classifier",
    inception_weights: Path | None = None,
    images: int = MAX_IMAGES,
    world: World = ALONE,
) -> Comparison:
    """How samples of a model are compared with items.

    Args:
        subject: the model and the data.
        features: of a small classifier that is trained on the data, or of Inception.
        inception_weights: the file of its weights; None downloads them, if need be.
        images: the number of items, and of samples, whose features are compared.
        world: the processes that need the weights; the first downloads them.

    Raises:
        UsageError: the items have no such features, the extra `inception` is not installed, or the
            file is not one of these weights.
        VAEError: the weights cannot be downloaded.
    """
    require_known("features", features, get_args(FeatureName))
    if features == "classifier":
        return Comparison(images=images)
    require_colors(subject.test.spec.shape)
    device = subject.model.device
    extractor = first_in_turn(lambda: inception_extractor(inception_weights, device), world)
    return Comparison(extractor, images)


def open_synthesis(
    model: TrainedModel,
    subject: Subject,
    *,
    sampler: Sampler = "auto",
    target: str = "",
    stage: Stage = ignore_stage,
    world: World = ALONE,
) -> Synthesis:
    """Which rows of a table are synthetic, and what they are to be useful for.

    Process 0 alone fits a sampler, and has the source of the rows.

    Args:
        model: of the table.
        subject: the same model with its data; nothing is fitted for others, which have no figures
            of synthetic rows.
        sampler: as in `with_sampler`.
        target: the name of the column that is to be predicted; empty for the mean over columns.
        stage: shows the progress of a part of the work with a name.
        world: the processes that will evaluate the model.

    Raises:
        UsageError: the model has no such column, or one that cannot be predicted, or as in
            `with_sampler`.
    """
    if target:
        spec = model.spec
        columns = () if spec.is_image else (*spec.columns, *spec.condition)
        require_target(columns, target, spec.table.label)
    if sampler == "auto" and not (subject.is_own and model.spec.columns):
        return Synthesis(target=target)
    source = None
    if world.rank == 0:  # a fit of a flow takes minutes
        source = with_sampler(model, sampler, stage).source
    wait_for_first(world)
    fitted = default_sampler(model) if sampler == "auto" else sampler
    name = world.share("prior" if source is None else fitted)
    return Synthesis(sampler=name, source=source, target=target)


def evaluate_model(
    model: TrainedModel,
    *,
    samples: int | None = None,
    seed: int = 0,
    features: FeatureName = "classifier",
    inception_weights: Path | None = None,
    images: int = MAX_IMAGES,
    sampler: Sampler = "auto",
    target: str = "",
    stage: Stage = ignore_stage,
    world: World = ALONE,
) -> Evaluation:
    """All figures of a model on the data that are held out.

    Of several processes, each gets the same figures.

    Args:
        model: what to evaluate; `load` decides on which data.
        samples: importance samples of each item; None takes as many as fit into ten minutes.
        seed: of all random numbers.
        features: as in `open_comparison`, like the next two.
        inception_weights: the file of the weights of Inception.
        images: the number of images of each set that are compared.
        sampler: of the synthetic rows of a table, as in `open_synthesis`.
        target: the column of a table that they are to predict.
        stage: shows the progress of a part of the work with a name.
        world: the processes that evaluate the model together.

    Raises:
        UsageError: as in `open_subject`, `open_comparison` and `open_synthesis`.
        VAEError: as in `open_comparison`.
    """
    subject = open_subject(model, world=world)
    comparison = open_comparison(subject, features, inception_weights, images, world)
    synthesis = open_synthesis(
        model, subject, sampler=sampler, target=target, stage=stage, world=world
    )
    count = samples or affordable_samples(subject, world)[0]
    return evaluate(subject, count, seed, __version__, stage, comparison, synthesis, world)


def evaluate_run(
    run: Run, device: torch.device, samples: int, stage: Stage = ignore_stage
) -> dict[str, Figure]:
    """The figures of a finished run, which are kept in its folder.

    They are computed unless the folder has those of the same weights and as many samples.

    Args:
        run: the run.
        device: to compute on.
        samples: importance samples of each item.
        stage: shows the progress of a part of the work with a name.

    Raises:
        UsageError: as in `open_subject`.
        VAEError: the weights are missing or damaged.
    """
    how = {"samples": samples, "seed": 0, "features": "classifier", "images": MAX_IMAGES}
    if is_evaluated(run, how):
        return read_evaluation(run)
    model = load_trained(run, device)
    with stage("reading") as progress:
        subject = open_subject(model, progress)
    synthesis = open_synthesis(model, subject, stage=stage)
    evaluation = evaluate(subject, samples, 0, __version__, stage, synthesis=synthesis)
    keep_evaluation(evaluation, subject)
    return {
        name: Figure(one.value, one.error)
        for name, one in evaluation.figures.items()
        if not isinstance(one, Absent)
    }


def keep_evaluation(evaluation: Evaluation, subject: Subject) -> Path | None:
    """Keep an evaluation in the folder of its run, with a warning if that is not possible.

    It is not kept if the run has other weights by now, because a training went on meanwhile, or if
    it was removed.

    Returns:
        The file; None if it is not kept.
    """
    path = evaluation_file(subject)
    if read_weights_digest(Run(subject.folder).best) != evaluation.weights:
        warnings.warn(
            f"{subject.folder} has other weights by now, or none: the figures are not kept",
            stacklevel=2,
        )
        return None
    return path if keep_if_possible(path, lambda: write_evaluation(evaluation, path)) else None


def evaluation_file(subject: Subject) -> Path:
    """Where an evaluation is kept; that on other data has their name in its own.

    Data with the same name in another place have a number too, so that both are kept.
    """
    if subject.is_own:
        return subject.folder / "evaluation.json"
    name = re.sub(r"[^\w.-]", "-", Path(subject.test.spec.name).name)[:60]
    first = subject.folder / f"evaluation-{name}.json"
    others = (subject.folder / f"evaluation-{name}-{number}.json" for number in range(2, 100))
    return next((path for path in (first, *others) if is_free_for(path, subject.path)), first)


def is_free_for(path: Path, data: str) -> bool:
    """Whether an evaluation on the data at some path may be written to a file."""
    return not exists(path) or read_json(path).get("path", data) == data


def default_sampler(model: TrainedModel) -> Sampler:
    """What `auto` stands for: a fitted prior for codes, a flow for tables, else the prior.

    The prior of the training says nothing about codes: all are equally likely. The rows of a table
    lie in clouds, one for each combination of categories, which no prior that was chosen before the
    training follows. Images are compared with papers, which use the prior. So does a model of
    p(x|y): a flow would be fitted to the latents of all conditions together.
    """
    if find_codes_head(model.model) is not None:
        return "codes"
    return "prior" if model.spec.is_image or model.spec.condition else "flow"


def with_sampler(
    model: TrainedModel, sampler: Sampler, stage: Stage = ignore_stage
) -> TrainedModel:
    """The same model, whose samples come from the prior, or from what is fitted to its latents.

    It is fitted to the training set when it is asked for first, and kept in the folder of
    the run. A warning says so if `model` was loaded with other data, which are then not read.

    Args:
        model: the model.
        sampler: `auto` is that of `default_sampler`; if it cannot be fitted, a warning says why,
            and the samples come from the prior.
        stage: shows the progress of a part of the work with a name. A fit of a flow, or of a prior
            over codes, that an exception from there ends is kept, and the next call goes on with
            it.

    Raises:
        UsageError: it is to be fitted, but the data of the run are missing or have changed; or
            there is no such sampler, or none of such latents.

    Example:
        >>> from vae_cli import load
        >>> with_sampler(load(), "gmm").sample(4, seed=0).shape
        (4, 1, 28, 28)
    """
    require_known("sampler", sampler, SAMPLERS)
    match sampler:
        case "auto":
            return with_default_sampler(model, stage)
        case "prior":
            return dataclasses.replace(model, source=None)
        case "gmm" | "flow" | "codes":
            return with_fitted_sampler(model, sampler, stage)
        case _:
            assert_never(sampler)


def with_default_sampler(model: TrainedModel, stage: Stage) -> TrainedModel:
    """The same model with the sampler that fits its items, or with a warning and the prior."""
    sampler = default_sampler(model)
    if sampler not in FITTED:
        return with_sampler(model, "prior")
    try:
        return with_fitted_sampler(model, sampler, stage)
    except UsageError as error:
        what = f"the samples come from the prior, not from {FITTED[sampler]}"
        warnings.warn(VAEWarning(f"{what}: {error.message}"), stacklevel=3)
        return with_sampler(model, "prior")


def with_fitted_sampler(model: TrainedModel, sampler: Fitted, stage: Stage) -> TrainedModel:
    """The same model, whose samples come from what is fitted to its training set.

    Raises:
        UsageError: as in `with_sampler`.
    """
    require_fitting_latents(model, sampler)
    is_kept = True

    def open_training_set() -> InMemory:
        nonlocal is_kept
        is_kept = False
        return own_training_set(model)

    source = fit_source(model, sampler, open_training_set, stage)
    if is_kept and model.data_name is not None and not is_data_of(model, model.data_name):
        warnings.warn(
            f"the samples are those of the data that run {model.name} was trained on, to which the "
            f"sampler was fitted before: {model.data_name} is not read",
            stacklevel=4,
        )
    return dataclasses.replace(model, source=source)


def require_fitting_latents(model: TrainedModel, sampler: Fitted) -> None:
    """Check that a sampler can be fitted to the latents of a model.

    Raises:
        UsageError: it cannot.
    """
    are_codes = find_codes_head(model.model) is not None
    if are_codes != (sampler == "codes"):
        found = "are codes" if are_codes else "are not codes"
        raise UsageError(
            f"{mark(f'sampler={sampler}')}: the latents of run {model.name} {found}: "
            f"{mark('sampler=auto')} is what fits them"
        )
    if not are_codes and len(model.model.event_shape) > 1:
        raise UsageError(
            f"{mark(f'sampler={sampler}')} is fitted to latents that are vectors, and those of run "
            f"{model.name} are a grid ({mark('model.grid=true')}): take {mark('sampler=prior')}"
        )
    if model.spec.condition and sampler != "codes":
        raise UsageError(
            f"{mark(f'sampler={sampler}')} is fitted to the latents of all conditions together, "
            f"and {model.name} is a model of p(x|y): take {mark('sampler=prior')}"
        )


def fit_source(
    model: TrainedModel, sampler: Fitted, train: Callable[[], InMemory], stage: Stage
) -> LatentSampler:
    """What is fitted to the latents of a model, or was before; see `with_sampler`."""
    match sampler:
        case "gmm":
            return fitted_mixture(model.model, train, model.run.path, stage=stage)
        case "flow":
            return fitted_flow(model.model, train, model.run.path, stage=stage)
        case "codes":
            return fitted_codes(model.model, train, model.run.path, stage)
        case _:
            assert_never(sampler)


def own_training_set(model: TrainedModel) -> InMemory:
    """What a run was trained on, without the labels that were hidden from it.

    Raises:
        UsageError: its data are missing or have changed, or `model` was loaded with others.
    """
    with warnings.catch_warnings(action="ignore"):
        dataset = model.data()
        train = training_part(model, dataset)
    if dataset.relation != "own":
        what = "they have changed" if dataset.relation == "changed" else "these are others"
        raise UsageError(
            f"a sampler is fitted to the data that run {model.name} was trained on: {what}"
        )
    labelled, seed = model.settings.data.labelled, model.settings.training.seed
    return model.prepare(hide_labels(train, model.spec, labelled, seed))


def is_data_of(model: TrainedModel, name: str) -> bool:
    """Whether data are those that the run of a model names, which may be gone."""
    own = model.facts.config.data.name
    return name == own or find_source(name).absolute_name == own
