"""What a conditional model is told, as it is typed: `--class Bag`, `--where sex=F`."""

import difflib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vae_cli.cli._inputs import Items, find_class
from vae_cli.cli._parsing import parse_where
from vae_cli.data.cells import NO_CLASS
from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from vae_cli.api.model import TrainedModel
    from vae_cli.data.columns import Column


def ask_condition(
    model: "TrainedModel", name: str | None, where: Sequence[str] = ()
) -> dict[str, Any] | None:
    """What a model is to be told of all items, as its methods take `y`; None if it is not said.

    Args:
        model: that is told it.
        name: of a class; `(none)` is that it is not known.
        where: `COLUMN=VALUE` of other columns of its condition.

    Raises:
        UsageError: the model is told no such thing, or a value is none of its column.
    """
    if name is None and not where:
        return None
    from vae_cli.data.condition_values import condition_rows

    columns = [column.name for column in model.spec.condition]
    if where and not columns:
        raise UsageError(f"--where {where[0]}: {explain_unconditional(model)}")
    asked: dict[str, Any] = {}
    for column, wanted in parse_where(where, columns).items():
        one = wanted[0] if isinstance(wanted, list) and len(wanted) == 1 else wanted
        if isinstance(one, list | tuple):
            raise UsageError(f"--where {column}: give one value, which the model is told")
        asked[column] = one
    if name is not None:
        asked |= find_told_class(model, name)
    for column in asked:
        if column not in columns:
            near = difflib.get_close_matches(column, columns, 1, cutoff=0)[0]
            raise UsageError(f"--where {column}: the model is not told it; did you mean {near}?")
    condition_rows(model.spec.condition, asked, 1, "where")  # a wrong value is refused here
    return asked


def tell(model: "TrainedModel", found: Items, told: dict[str, Any] | None) -> Items:
    """Items of which the model is told something else; what is not said stays as it is.

    Args:
        model: that is told it.
        found: the items, with what is known about them.
        told: as `ask_condition` returns it.
    """
    if told is None:
        return found
    import torch

    from vae_cli.data.condition_values import condition_rows

    columns, count = model.spec.condition, len(found.items)
    read = model.converter.read(found.items, found.y)
    own = condition_rows(columns, {}, count) if read.condition is None else read.condition
    is_said = torch.tensor([column.name in told for column in columns])
    y = torch.where(is_said, condition_rows(columns, told, count), own)
    return found._replace(items=read.items, y=y)


def find_told_class(model: "TrainedModel", name: str) -> dict[str, str | None]:
    """A class that a model is told, under the name of its column; None if it is `(none)`.

    Raises:
        UsageError: there is no such class, or the model is not told the class.
    """
    column = require_told_classes(model, name)
    if name == NO_CLASS:
        return {column.name: None}
    known = replace(model.spec, classes=column.categories)
    return {column.name: column.categories[find_class(name, known)]}


def require_told_classes(model: "TrainedModel", name: str) -> "Column":
    """The column of the classes that a model is told.

    Raises:
        UsageError: it is not told the class.
    """
    from vae_cli.data.conditioning import class_place

    place, told = class_place(model.spec), [column.name for column in model.spec.condition]
    if place is not None:
        return model.spec.condition[place]
    if told:
        raise UsageError(
            f"--class {name}: {model.name} is told {' and '.join(told)}, and not the class: "
            f"--where {told[0]}=..."
        )
    raise UsageError(f"--class {name}: {explain_unconditional(model)}")


def explain_unconditional(model: "TrainedModel") -> str:
    """Why a model can be told nothing, and what to do."""
    can = "--condition label" if model.spec.is_image else "--condition and names of columns"
    return f"{model.name} is told nothing about its items; train a run with {can}"
