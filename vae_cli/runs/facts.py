"""The JSON facts of a checkpoint, validated before anything uses them."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le, Len
from pydantic import PlainValidator, TypeAdapter, ValidationError

from vae_cli.data.batches import steps_per_epoch
from vae_cli.data.columns import Column
from vae_cli.data.conditioning import reading_spec
from vae_cli.data.dataset import Spec
from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.data.memory import MAX_COLUMNS
from vae_cli.errors import UsageError, VAEError
from vae_cli.settings import Plan, read_plan, simplify

MAX_SIDE = MAX_COLUMNS  # of a row, or pixels of an edge
MAX_NAMES = 32 * 2**20  # bytes in a header, for which safetensors allows 100 MB
IMAGE_DIMS, ROW_DIMS = 3, 1
HELD_OUT_NAMES = ("test", "validation")  # of the columns of metrics
Count = Annotated[int, Ge(0), Le(2**53)]
Whole = Annotated[int, Ge(-(2**53)), Le(2**53)]
Row = dict[str, Whole | float]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a training came, so that it can go on.

    Attributes:
        step: steps since the start of the run.
        done: steps in the current epoch.
        count: items in the current epoch.
        rows: the metrics of each epoch.
        best_loss: the lowest figure so far by which the best epoch is chosen; infinite before the
            end of the first epoch.
        best_epoch: the epoch with that figure, or the last one if it was never finite; 0 in
            checkpoints that are older than this fact.
    """

    step: Count
    done: Count
    count: Count
    rows: list[Annotated[Row, Len(1, 1000)]]
    best_loss: float
    best_epoch: Count = 0

    @property
    def held_out_name(self) -> str:
        """What the metrics call the items that are held out; empty before the first epoch."""
        columns = self.rows[0] if self.rows else {}
        return next((part for part in HELD_OUT_NAMES if f"{part}_loss" in columns), "")


def validate_plan(tables: Any) -> Plan:
    """The settings of a checkpoint, for pydantic.

    Raises:
        ValueError: one is wrong, or the network or the likelihood is not named.
    """
    try:
        return read_plan(tables)
    except UsageError as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a checkpoint knows in addition to its tensors.

    Attributes:
        config: the settings of the run.
        data: what the items are.
        counts: the numbers of training and test items.
        data_digest: SHA-256 of both sets; empty if the checkpoint is older than the digest.
        data_stamp: of the files of the data at the training; equal files need not be read again.
        origin: the signature of the name of the data; see `origin.py`.
        epoch: the number of complete epochs.
        diverged: the epoch in which the training ended, because its loss was not finite; 0 if none.
        progress: how far the training came; None in a checkpoint of the weights alone.
    """

    config: Annotated[Plan, PlainValidator(validate_plan)]
    data: Spec = FashionMNIST.spec
    counts: tuple[Count, Count]
    data_digest: str = ""
    data_stamp: str = ""
    origin: str = ""
    epoch: Count
    diverged: Count = 0
    progress: Progress | None = None


_FACTS = TypeAdapter(Facts)
_SPEC = TypeAdapter(Spec)


def parse_spec(values: dict[str, Any]) -> Spec:
    """What the items are, from JSON values that this program has written."""
    return _SPEC.validate_json(json.dumps(values), strict=True)


def facts_to_json(facts: Facts) -> dict[str, Any]:
    """The facts as JSON values."""
    return dataclasses.asdict(facts)


def parse_facts(values: dict[str, Any], source: object) -> Facts:
    """Validate the JSON values of a checkpoint.

    Raises:
        VAEError: a value is missing, has another type, or is out of range; the message names it.
    """
    try:
        facts = _FACTS.validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise VAEError(f"{source} is damaged: {place}: {simplify(first['msg'])}") from error
    except (ValueError, RecursionError) as error:
        raise VAEError(f"{source} is damaged: {error}") from error
    problem = find_problem(facts)
    if problem:
        raise VAEError(f"{source} is damaged: {problem}")
    return facts


def find_problem(facts: Facts) -> str | None:
    """What is wrong with facts that have the right types; None if nothing is."""
    if not has_valid_shape(facts.data):
        return f"data.shape is of no image and no row with sides from 1 to {MAX_SIDE:,}"
    if not has_valid_columns(facts.data):
        return "data.columns do not fit data.shape and data.table"
    if not has_valid_condition(facts.data):
        return "data.condition does not fit data.columns and data.table"
    return None if facts.progress is None else find_problem_of_progress(facts, facts.progress)


def find_problem_of_progress(facts: Facts, progress: Progress) -> str | None:
    """What is wrong with the progress of a training; None if nothing is."""
    if not has_valid_rows(facts, progress):
        return "rows are not those of its epochs"
    if not has_valid_position(facts, progress):
        return "its position is none that a training of its data reaches"
    if not has_valid_best(facts, progress):
        return "best_epoch and best_loss are not of its epochs"
    return None


def has_valid_shape(spec: Spec) -> bool:
    """Whether items are images or rows of a size that a checkpoint may have."""
    is_known = len(spec.shape) in {ROW_DIMS, IMAGE_DIMS}
    return is_known and all(0 < side <= MAX_SIDE for side in spec.shape)


def has_valid_columns(spec: Spec) -> bool:
    """Whether a table has one column for each value and, if there are any, one finite mean."""
    if spec.is_image:
        return not (spec.columns or spec.table.means)
    count = spec.shape[0]
    names, rules = spec.column_names, spec.table
    is_named = len(names) == len(set(names)) == count
    is_apart = set(names).isdisjoint({rules.label, *rules.dropped})
    needed = len(reading_spec(spec).columns) if rules.missing == "mean" else 0
    has_means = len(rules.means) == needed and all(map(math.isfinite, rules.means))
    return is_named and is_apart and has_means and all(map(is_valid_column, spec.columns))


def has_valid_condition(spec: Spec) -> bool:
    """Whether the facts that a model is told have names of their own, and are possible columns."""
    names = [column.name for column in spec.condition]
    is_apart = set(names).isdisjoint({*spec.column_names, *spec.table.dropped})
    is_known = len(set(names)) == len(names) and all(map(is_valid_column, spec.condition))
    places = list(range(len(spec.columns) + len(names)))
    return is_known and is_apart and (not spec.order or sorted(spec.order) == places)


def is_valid_column(column: Column) -> bool:
    """Whether a column has as many texts as its kind needs, each once."""
    count = len(column.categories)
    allowed = {"constant": count == 1, "category": count > 0}
    return allowed.get(column.kind, count == 0) and len(set(column.categories)) == count


def has_valid_rows(facts: Facts, progress: Progress) -> bool:
    """Whether there is a row of metrics for each epoch, with what a training reads of it."""
    part, by_elbo = progress.held_out_name, facts.config.training.best == "elbo"
    needed = {f"{part}_loss", *([f"{part}_elbo"] if by_elbo else [])}
    epochs = [row.get("epoch") for row in progress.rows]
    is_counted = epochs == list(range(1, len(epochs) + 1)) and len(epochs) == facts.epoch
    return is_counted and all(needed <= row.keys() for row in progress.rows)


def has_valid_position(facts: Facts, progress: Progress) -> bool:
    """Whether a training of as many items, in batches of this size, comes to the position."""
    items, batch_size = facts.counts[0], facts.config.training.batch_size
    steps = steps_per_epoch(items, batch_size)
    return (
        progress.done <= steps
        and progress.step == facts.epoch * steps + progress.done
        and progress.count == min(progress.done * batch_size, items)
    )


def has_valid_best(facts: Facts, progress: Progress) -> bool:
    """Whether the best epoch is one of the epochs, and its figure can be compared with others."""
    return progress.best_epoch <= facts.epoch and progress.best_loss > -math.inf  # NaN is not


def require_storable(config: Plan, spec: Spec) -> None:
    """Check before a training that a checkpoint of it can be read after it.

    Raises:
        UsageError: a name is not UTF-8, or there are too many columns or too many long names.
    """
    names = (
        config.data.name,
        spec.name,
        *spec.classes,
        *spec.column_names,
        *spec.table.dropped,
        *(column.name for column in spec.condition),
        *(text for one in (*spec.columns, *spec.condition) for text in one.categories),
    )
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            shown = name.encode(errors="backslashreplace").decode()
            raise UsageError(f"the name {shown} is not UTF-8: rename it") from error
    if not has_valid_shape(spec):
        shape = "x".join(map(str, spec.shape))
        raise UsageError(f"{spec.name} holds items of {shape}: at most {MAX_SIDE:,} are possible")
    if len(json.dumps(json.dumps(names))) > MAX_NAMES:  # facts are a text in a header of JSON
        raise UsageError(
            f"the names of the classes and columns of {spec.name} take over {MAX_NAMES >> 20} MiB: "
            "a checkpoint cannot hold them"
        )
