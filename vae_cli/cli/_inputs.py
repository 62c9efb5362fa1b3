"""The items that a command works on: from files, or from the test set."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vae_cli.cli._console import Terminal
from vae_cli.cli._options import FitName
from vae_cli.cli._parsing import require_no_run
from vae_cli.errors import UsageError, list_some
from vae_cli.files import exists

if TYPE_CHECKING:
    from torch import Tensor

    from vae_cli.api.model import TrainedModel
    from vae_cli.data.dataset import Spec

MAX_CLASSES = 20  # in an error message


class Chosen(NamedTuple):
    """Items that a command works on.

    Attributes:
        names: one per item, for a person.
        items: `(N, ...)`.
        texts: the columns `name` and `label` that `vae embed` writes for the items, if known.
    """

    names: list[str]
    items: "Tensor"
    texts: Mapping[str, Sequence[str]]

    def describe(self) -> list[dict[str, str]]:
        """The texts of each item, by column, for JSON."""
        return [
            {"image": name} | {title: column[place] for title, column in self.texts.items()}
            for place, name in enumerate(self.names)
        ]


def read_items(
    model: "TrainedModel",
    paths: Sequence[Path],
    terminal: Terminal,
    *,
    invert: bool,
    fit: FitName,
) -> Chosen:
    """Read items from files, in the model's shape.

    Raises:
        UsageError: a file cannot be read, or holds items that the model cannot take.
    """
    for path in paths:
        if not exists(path):
            require_no_run(path)
    names, items, hints, texts = model.kind.read_files(
        paths, invert=invert, find_object=fit == "object"
    )
    for hint in hints:
        terminal.remark(hint, "yellow")
    return Chosen(names, items, texts)


def take_test_items(model: "TrainedModel", start: int, count: int) -> Chosen:
    """Take items of the test set, beginning with number `start`.

    Raises:
        UsageError: the test set is smaller, or the data are not available any more.
    """
    from vae_cli.data.batches import gather

    found = model.test_set()
    test = found.split
    if start >= len(test):
        raise UsageError(f"--index {start}: the test set has items 0 to {len(test) - 1}")
    places = range(start, min(start + count, len(test)))
    items = gather(test.items, test.rows[start : start + count])
    return Chosen(found.names(places), items, found.texts(places))


def take_items_of_classes(model: "TrainedModel", names: Sequence[str]) -> Chosen:
    """Take one test item for each class that is named; a repeated class gives its next item.

    Without names, take one item of the first class and one of the last, or the first two items if
    there are no classes.

    Raises:
        UsageError: a class is unknown or has too few items, or there are no classes.
    """
    from vae_cli.data.batches import gather

    found = model.test_set()
    test, spec = found.split, found.spec
    labels = [label for name in names for label in find_classes(name, spec)]
    known = test.labels.unique().tolist() if spec.classes else []
    if not names and len(known) > 1:
        labels = [known[0], known[-1]]
    rows = []
    for place, label in enumerate(labels):
        of_class = (test.labels == label).nonzero()[:, 0].tolist()
        nth = labels[:place].count(label)
        if nth >= len(of_class):
            few = f"only {len(of_class)}" if of_class else "no"
            raise UsageError(f"--class {spec.classes[label]}: the test set has {few} of them")
        rows.append(of_class[nth])
    rows = rows or [0, 1]
    if max(rows) >= len(test):
        raise UsageError("the test set has one item: name two files")
    return Chosen(found.names(rows), gather(test.items, test.rows[rows]), found.texts(rows))


def find_classes(text: str, spec: "Spec") -> list[int]:
    """The labels of a class, or of several as in `1,7`; a class may have a comma in its name.

    Raises:
        UsageError: there is no class with one of these names or several, or there are no classes.
    """
    if text in spec.classes or "," not in text:
        return [find_class(text, spec)]
    return [find_class(part.strip(), spec) for part in text.split(",")]


def find_class(name: str, spec: "Spec") -> int:
    """The label of a class, by its name, or by the beginning of its name if no other has it.

    Only letters and digits are compared, and upper and lower case are the same.

    Raises:
        UsageError: there is no class with this name or several, or there are no classes.
    """
    if not spec.classes:
        raise UsageError(f"--class {name}: {spec.name} has no classes")
    wanted, known = _letters(name), [_letters(one) for one in spec.classes]
    found = (
        [label for label, one in enumerate(spec.classes) if one == name]
        or [label for label, one in enumerate(known) if wanted and one == wanted]
        or [label for label, one in enumerate(known) if wanted and one.startswith(wanted)]
    )
    if len(found) == 1:
        return found[0]
    if found:
        several = [spec.classes[label] for label in found]
        raise UsageError(f"--class {name}: which of {list_some(several, MAX_CLASSES)}?")
    near = difflib.get_close_matches(wanted, known, 1)
    if near:
        raise UsageError(f"--class {name}: did you mean {spec.classes[known.index(near[0])]}?")
    raise UsageError(f"--class {name}: the classes are {list_some(spec.classes, MAX_CLASSES)}")


def _letters(name: str) -> str:
    """The letters and digits of a name in lower case."""
    return "".join(filter(str.isalnum, name.casefold()))
