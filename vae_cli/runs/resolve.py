"""From settings to everything that a training needs: data opened, memory checked, choices made.

`resolve` does all of it, once for a run: nothing in what it returns, `Resolved`, is chosen again. A
network that would need too much memory is refused here, before there is a directory.
"""

import dataclasses
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, final

import torch
from torch import Tensor

from vae_cli.data.batches import steps_per_epoch
from vae_cli.data.columns import Column
from vae_cli.data.dataset import Dataset, Progress, Spec, ignore_progress
from vae_cli.data.held_out import divide_for_validation
from vae_cli.data.labelled import hide_labels
from vae_cli.data.sharing import share_work
from vae_cli.data.source import CHANNEL_NAMES, SourceKind, find_source
from vae_cli.data.split import InMemory
from vae_cli.data.statistics import (
    ColumnStatistics,
    column_statistics,
    digest_splits,
    find_outlier,
    require_learnable,
    usual_border,
)
from vae_cli.data.streamed import AnySplit, move_splits
from vae_cli.data.value_range import format_limits
from vae_cli.errors import UsageError, mark
from vae_cli.model import Codec, Condition, LatentModel, Size, measure_size
from vae_cli.rendering import kind_of
from vae_cli.runs.facts import require_storable
from vae_cli.runs.start import start_weights
from vae_cli.runs.trial import try_outside_parts
from vae_cli.settings import Config, DataConfig, DeviceName, Plan, choose, to_dict
from vae_cli.settings.networks import MLP, TwoLevel, input_shape
from vae_cli.training import ALONE, TrainState, World
from vae_cli.training.precision import (
    MIN_MEASURED_STEPS,
    Precision,
    bfloat16_is_faster,
    choose_precision,
    require_supported,
)

MAX_TRAINING_BYTES = 4 * 2**30
BYTES_PER_PARAMETER = 16  # the weight, its gradient and Adam's two moments, each in float32
SIDES = (256, 128, 64, 32, 16)  # pixels; the sizes of pictures that a message suggests
WIDTHS = tuple(2**power for power in range(15, -1, -1))  # of hidden layers, the same


def require_affordable(plan: Plan, blueprint: LatentModel, spec: Spec, *, resizable: bool) -> None:
    """Check the memory for the parameters of a network and for their training.

    Args:
        plan: the settings.
        blueprint: their model on the meta device, where its weights need no memory.
        spec: what the items are.
        resizable: whether the size of the pictures changes the shape.

    Raises:
        UsageError: it needs too much; the message gives the number of parameters, and a size that
            works.
    """
    needed = training_bytes(blueprint)
    if needed > MAX_TRAINING_BYTES:
        raise UsageError(
            f"{plan.model.network} with {needed // BYTES_PER_PARAMETER:,} parameters takes "
            f"{needed / 2**30:,.0f} GiB to train, and {MAX_TRAINING_BYTES >> 30} GiB are allowed: "
            f"{_remedy(plan, spec, resizable=resizable)}"
        )


def training_bytes(model: LatentModel) -> int:
    """The memory of all parameters, gradients and moments of a network."""
    return BYTES_PER_PARAMETER * sum(parameter.numel() for parameter in model.parameters())


def _remedy(plan: Plan, spec: Spec, *, resizable: bool) -> str:
    """The largest size of pictures that fits, or else the largest hidden layers that do."""
    for side in SIDES if resizable else ():
        if _fits(plan, dataclasses.replace(spec, shape=(spec.shape[0], side, side))):
            return f"try {mark(f'data.image_size={side}')}"
    if isinstance(network := plan.model, MLP | TwoLevel):
        for width in WIDTHS:
            hidden = tuple(min(width, layer) for layer in network.hidden)
            widths = ",".join(map(str, hidden))
            narrow = dataclasses.replace(network, hidden=hidden)
            if _fits(dataclasses.replace(plan, model=narrow), spec):
                return f"try {mark(f'model.hidden={widths}')}"
    return "make the items smaller"


def _fits(plan: Plan, spec: Spec) -> bool:
    return training_bytes(plan.build_on_meta(spec)) <= MAX_TRAINING_BYTES


HeldOutName = Literal["test", "validation"]
MAX_NAMED_COLUMNS = 5  # in a warning


@final
@dataclass(frozen=True, kw_only=True)
class Resolved:
    """Everything that a training run needs. Nothing in it is replaced, parsed or chosen again.

    Attributes:
        config: all settings as they are written to disk, with an absolute path, and with the
            network, the precision, the device, and the size and range of pictures that were chosen.
        spec: what the items are.
        blueprint: the model without memory for its weights.
        train: the training set, on the device.
        test: the items that are held out, on the device: the test set, or the validation set if
            there is one.
        codec: the way from the items to what the model takes, for the model and both parts.
        condition: what the model is conditioned on; None if it is not.
        held_out_name: what the items that are held out are called in tables and files.
        data_digest: SHA-256 of the items and labels of both sets.
        data_stamp: of the files of the data, when they were opened.
        weights: those of the run that it starts from; None starts with random ones.
        texts: of a table, the columns that say which rows the first held-out ones are.
    """

    config: Plan
    spec: Spec
    blueprint: LatentModel
    train: AnySplit
    test: InMemory
    held_out_name: HeldOutName
    codec: Codec
    condition: Condition | None
    data_digest: str
    data_stamp: str
    weights: Mapping[str, Tensor] | None
    texts: Mapping[str, Sequence[str]]

    @property
    def device(self) -> torch.device:
        """Where to train."""
        return torch.device(self.config.training.device)

    @property
    def precision(self) -> Precision:
        """The number format of the matrix products."""
        chosen = self.config.training.precision
        assert chosen != "auto"  # `resolve` has chosen
        return chosen

    def initial_state(self) -> TrainState:
        """The state before the first step."""
        return self.config.build_state(
            self.spec,
            self.device,
            codec=self.codec,
            train=self.train,
            condition=self.condition,
            weights=self.weights,
        )

    def model_size(self) -> Size:
        """The size of the network, and of the items that a process computes at a time."""
        training = self.config.training
        items = math.ceil(training.batch_size / (training.processes * training.accumulate))
        return measure_size(self.blueprint, input_shape(self.spec, self.codec), items)

    def with_processes(self, count: int) -> "Resolved":
        """The same for so many processes, to estimate their training in one."""
        training = dataclasses.replace(self.config.training, processes=count)
        return dataclasses.replace(self, config=dataclasses.replace(self.config, training=training))


def resolve(
    config: Config,
    device: torch.device,
    progress: Progress = ignore_progress,
    dataset: Dataset | None = None,
    *,
    like: Spec | None = None,
    world: World = ALONE,
) -> Resolved:
    """Open the data, and make every choice that the settings leave open.

    Args:
        config: the settings as they were given.
        device: the device to train on.
        progress: called with the number of pictures decoded so far and the total.
        dataset: the data of the settings, if they are open already.
        like: what the items of the run are that goes on; None for a new run. A run that goes on
            starts from its own state, and reads the columns of a table as it did before.
        world: the processes that train together. One on each machine reads the data; process 0
            alone reads the weights to start from, and measures the precision for all.

    Raises:
        UsageError: the data or the weights to start from cannot be used, or the settings do not fit
            the data or the device.
        VAEError: a download fails, or the cache cannot be written.
    """
    require_supported(config.training.precision, device)
    known = None if like is None else dataclasses.asdict(like)
    ready = share_work(
        f"training data {json.dumps([to_dict(config), known])}",
        lambda watched: prepare(config, watched, dataset, like=like, world=world),
        progress,
    )
    plan, spec = ready.plan, ready.spec
    weights = None if like or world.rank else start_weights(plan, ready.blueprint, spec)
    train, test = move_splits(ready.train, ready.test, device)
    return Resolved(
        config=with_device(ready, train, device, world),
        spec=spec,
        blueprint=ready.blueprint,
        train=train,
        test=test,
        held_out_name=ready.held_out_name,
        codec=ready.codec,
        condition=ready.condition,
        data_digest=ready.digest,
        data_stamp=ready.stamp,
        weights=weights,
        texts=ready.texts,
    )


@final
@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What is the same for all processes of a training, whatever their devices are.

    Attributes:
        plan: the settings, with all choices that the data decide.
        blueprint: their model without memory for its weights.
        train: the training set, encoded.
        test: the items that are held out, encoded.
        spec: what the items are.
        held_out_name: what the items that are held out are called.
        codec: the way from the items to what the model takes.
        condition: what the model is conditioned on; None if it is not.
        digest: SHA-256 of the items and labels of both sets.
        stamp: of the files of the data, when they were opened.
        texts: of a table, the columns that say which rows the first held-out ones are.
    """

    plan: Plan
    blueprint: LatentModel
    spec: Spec
    train: AnySplit
    test: InMemory
    held_out_name: HeldOutName
    codec: Codec
    condition: Condition | None
    digest: str
    stamp: str
    texts: Mapping[str, Sequence[str]]


def prepare(
    config: Config,
    progress: Progress,
    dataset: Dataset | None,
    *,
    like: Spec | None,
    world: World,
) -> Prepared:
    """Read the data, measure what the model needs to know of them, and encode them.

    One process does it for all on its machine, so nothing is exchanged here.

    Args:
        config: the settings as they were given.
        progress: called with what was read so far and the total.
        dataset: the data of the settings, if they are open already.
        like: what the items of the run are that goes on; None for a new run.
        world: the processes that train together.

    Raises:
        UsageError: the data or the weights to start from cannot be used, or the settings do not fit
            the data.
        VAEError: a download fails, or the cache cannot be written.
    """
    dataset = dataset or config.data.open(progress, like)
    (plan, blueprint), stamp = make_plan(config, dataset.spec), dataset.stamp
    if not (like or world.rank):
        start_weights(plan, blueprint, dataset.spec)  # if they do not fit, before items are decoded
    train, test, held_out_name = take_parts(dataset, plan.data)
    spec, plan = with_measurements(plan, dataset, train)
    plan.check_items(spec, len(train))
    digest = digest_splits(train, test)
    shown = range(min(kind_of(spec).preview_items, len(test)))
    texts = {} if spec.is_image else dataset.describe(test).texts(shown)
    if not spec.is_image and isinstance(train, InMemory):
        warn_of_far_row(measure_columns(train, spec), test, dataset)
    codec = plan.likelihood.build_codec(spec, train)
    condition = None
    if spec.condition:
        train = hide_labels(train, spec, plan.data.labelled, plan.training.seed)
        assert train.condition is not None  # `condition_on` has given one to every part
        condition = plan.build_condition(spec, InMemory.whole(train.condition))
        assert condition is not None  # as the data have one
        train, test = condition.encode_split(train), condition.encode_split(test)
    encoded = codec.encode_split(train, fixed=not plan.likelihood.draws_every_step).ready()
    try_outside_parts(plan, spec, encoded, codec, condition)
    return Prepared(
        plan=plan,
        blueprint=blueprint,
        spec=spec,
        train=encoded,
        test=codec.encode_split(test).ready(),
        held_out_name=held_out_name,
        codec=codec,
        condition=condition,
        digest=digest,
        stamp=stamp,
        texts=texts,
    )


def with_device(ready: Prepared, train: AnySplit, device: torch.device, world: World) -> Plan:
    """The plan with a device, the number of processes, and the precision for all of them.

    It is the one that was asked for, or else the best where process 0 is.
    """
    plan, training = ready.plan, ready.plan.training
    own = math.ceil(training.batch_size / (world.size * training.accumulate))

    def measure_bfloat16() -> bool:
        steps = steps_per_epoch(len(train), training.batch_size) * training.epochs
        return steps >= MIN_MEASURED_STEPS and bfloat16_is_faster(
            lambda: plan.build_state(
                ready.spec, device, codec=ready.codec, condition=ready.condition
            ),
            train,
            own,
        )

    precision = training.precision
    if world.rank == 0:
        precision = choose_precision(precision, device, measure_bfloat16)
    chosen = dataclasses.replace(
        training,
        device=cast("DeviceName", device.type),
        precision=cast("Precision", world.share(precision)),
        processes=world.size,
    )
    return dataclasses.replace(plan, training=chosen)


class TakenParts(NamedTuple):
    """The items that a training uses, and what those that are held out are called."""

    train: AnySplit
    held_out: InMemory
    held_out_name: HeldOutName


def take_parts(dataset: Dataset, config: DataConfig) -> TakenParts:
    """The items to train on, and those held out: for validation if there are any, or for testing.

    Raises:
        UsageError: a part of the training set is asked for, but the data have a validation set.
    """
    limit = config.limit or None
    train, own = dataset.parts.train.head(limit), dataset.validation()
    if not config.validation:
        test = dataset.test() if own is None else own
        return TakenParts(train, test.head(limit), "test" if own is None else "validation")
    if own is not None:
        name = dataset.spec.name
        raise UsageError(f"data.validation: {name} has a validation set of its own: leave it out")
    train, kept = divide_for_validation(train, config.validation, copies_together=config.rules > 1)
    return TakenParts(train, dataset.in_memory(kept), "validation")


def with_measurements(plan: Plan, dataset: Dataset, train: AnySplit) -> tuple[Spec, Plan]:
    """What the items are, and the plan, with what is known only after they were read."""
    border = usual_border(train) if dataset.spec.is_image else None
    spec = dataclasses.replace(dataset.spec, usual_border=border)
    return spec, dataclasses.replace(plan, data=resolve_data(plan.data, spec))


def make_plan(config: Config, spec: Spec) -> tuple[Plan, LatentModel]:
    """The plan for what the items are, whatever their values, and its model without memory.

    Raises:
        UsageError: the settings do not fit the items, or the network would need too much memory.
    """
    data = resolve_data(config.data, spec)
    plan = choose(dataclasses.replace(config, data=data), spec)
    plan.check(spec)
    require_storable(plan, spec)
    blueprint = plan.build_on_meta(spec)
    require_affordable(plan, blueprint, spec, resizable=data.image_size > 0)
    return plan, blueprint


def measure_columns(train: InMemory, spec: Spec) -> ColumnStatistics:
    """The statistics of the columns of a table; a warning names those that never change.

    Raises:
        UsageError: a column cannot be standardized.
    """
    statistics = column_statistics(train.items, train.rows)
    require_learnable(statistics, train, spec)
    warn_of_constants(statistics, spec.columns)
    return statistics


def warn_of_constants(statistics: ColumnStatistics, columns: Sequence[Column]) -> None:
    """Warn about columns that never change in the training set: there is nothing to learn."""
    constant = [
        column.name
        for column, std in zip(columns, statistics.std, strict=True)
        if column.is_measured and std == 0
    ]
    if constant:
        names = ", ".join(constant[:MAX_NAMED_COLUMNS])
        more = f" and {len(constant) - MAX_NAMED_COLUMNS} more" * (
            len(constant) > MAX_NAMED_COLUMNS
        )
        warnings.warn(
            f"these columns never change and are left out of the loss: {names}{more}", stacklevel=2
        )


def warn_of_far_row(statistics: ColumnStatistics, held_out: InMemory, dataset: Dataset) -> None:
    """Warn about a row that is held out and far away: it alone decides the loss of its set."""
    columns = dataset.spec.column_names
    if found := find_outlier(statistics, held_out, columns=columns, names=dataset.names):
        warnings.warn(
            f"of the rows that are held out, {found}: their loss is mostly that of this row; "
            "correct it, or leave it out",
            stacklevel=2,
        )


def resolve_data(config: DataConfig, spec: Spec) -> DataConfig:
    """The data settings with an absolute path, a range, and the size and channels of pictures."""
    source = find_source(config.name)
    range_ = format_limits(spec.range) if spec.range else config.range
    named = dataclasses.replace(config, name=source.absolute_name, range=range_)
    if source.kind not in {SourceKind.FOLDER, SourceKind.SHARDS}:
        return named
    channels, size, _ = spec.shape
    return dataclasses.replace(named, image_size=size, channels=CHANNEL_NAMES[channels])
