"""What a command works on, as it is typed: a run, items, latent dimensions and offsets."""

import difflib
import math
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, final

import typer

from vae_cli.cli._console import Terminal
from vae_cli.cli._errors import show_options
from vae_cli.cli._options import Device, OptionGroup, refuse_unused
from vae_cli.cli._output import Request
from vae_cli.cli._parsing import require_no_run
from vae_cli.cli._processes import together, want_processes
from vae_cli.cli._training import COLLAPSE_PAGE, describe_active
from vae_cli.data.source import find_source
from vae_cli.errors import UsageError, list_some, plural
from vae_cli.files import exists

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vae_cli.api.model import TrainedModel
    from vae_cli.data.dataset import Spec
    from vae_cli.data.split import InMemory
    from vae_cli.runs.directory import Run
    from vae_cli.training import World

MAX_NAMED_CLASSES = 20  # in an error message


def add_start(
    layers: list[tuple[str, Mapping[str, Any]]], name: str
) -> list[tuple[str, Mapping[str, Any]]]:
    """The layers of settings with those of the run that the training starts from.

    Raises:
        UsageError: there is no such run, or somebody else made it and the path of its data was
            not typed.
        VAEError: its weights are missing or damaged.
    """
    from vae_cli.runs.lookup import find_run

    find_run(name)  # before torch is imported, so that a typo is answered at once
    from vae_cli.runs.start import start_layers

    return start_layers(name, layers)


@final
@dataclass(frozen=True)
class RunChoice:
    """The run that a command uses, and the device on which it computes.

    Attributes:
        run: name or path of the run; None means the newest finished run.
        device: its name, or `auto`.
    """

    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            help="Name or path of the run to use. [default: the newest finished run]",
            rich_help_panel="Model",
        ),
    ] = None
    device: Device = "auto"

    def open(
        self, terminal: Terminal, data: str | None = None, *, outputs: Iterable[Request] = ()
    ) -> "TrainedModel":
        """Load the model of the run, and say which run and device were chosen.

        Args:
            terminal: prints the remark.
            data: the name or path of the data to take test items from; None means those of the run.
            outputs: what the command will write; they are checked before the model is loaded.

        Raises:
            UsageError: there is no such run or device, there are no such data, or an output would
                replace the data of the run or a file of a run.
            VAEError: the weights of the run are missing or damaged.
        """
        run = self.find(data, outputs)
        with terminal.spinner("loading"):
            from vae_cli.device import resolve_device

            device = resolve_device(self.device)
        return self.load(run, device, terminal, data)

    def find(self, data: str | None = None, outputs: Iterable[Request] = ()) -> "Run":
        """The run, before torch is imported, so that a typo is answered at once.

        Args:
            data: as in `open`.
            outputs: as in `open`.

        Raises:
            UsageError: there is no such run, there are no such data, or an output would replace the
                data of the run or a file of a run.
        """
        if data is not None:
            find_source(data, "data")
        from vae_cli.runs.lookup import find_run

        run = find_run(self.run)
        for output in outputs:
            output.check_run(run)
        return run

    def load(
        self, run: "Run", device: "torch.device", terminal: Terminal, data: str | None = None
    ) -> "TrainedModel":
        """Load the model of a run that was found, and say which run and device were chosen.

        Raises:
            VAEError: the weights of the run are missing or damaged.
        """
        from vae_cli.runs.lookup import finished_runs

        with terminal.spinner("loading"):
            from vae_cli.api.model import load_trained
            from vae_cli.device import describe_device

            model = load_trained(run, device, data)
        choice = f"newest of {len(finished_runs())}; " if self.run is None else ""
        terminal.remark(f"run {run.path}: {choice}{describe_run(model)}; {describe_device(device)}")
        for trouble in find_troubles(model):
            terminal.remark(trouble, "yellow")
        return model


RunGroup = Annotated[RunChoice, OptionGroup(RunChoice)]


@contextmanager
def opened_together(
    choices: Sequence[RunChoice],
    processes: int,
    terminal: Terminal,
    data: str | None = None,
    *,
    outputs: Sequence[Request] = (),
) -> "Iterator[tuple[list[TrainedModel], World]]":
    """The models of some runs in all processes that work together, as long as the body runs.

    Process 0 says which run is the newest.

    Args:
        choices: of runs, on one device.
        processes: that are asked for.
        terminal: prints the remarks.
        data: as in `RunChoice.open`.
        outputs: as in `RunChoice.open`.

    Raises:
        UsageError: as in `RunChoice.open`.
        VAEError: the weights of a run are missing or damaged.
        LostProcessError: one of the processes has ended.
    """
    found = [choice.find(data, outputs) for choice in choices]
    want_processes(processes)
    with ExitStack() as stack:
        with terminal.spinner("loading"):
            from vae_cli.evaluation.sharing import compute_once
            from vae_cli.runs.directory import Run

            device, world = stack.enter_context(together(choices[0].device))
            paths = compute_once(lambda: [str(run.path) for run in found], world)
        runs = [Run(Path(path)) for path in paths]
        yield [choices[0].load(run, device, terminal, data) for run in runs], world


def find_troubles(model: "TrainedModel") -> list[str]:
    """What makes the weights of a run a bad choice, one sentence each."""
    troubles = []
    if diverged := model.facts.diverged:
        troubles.append(
            f"the training of {model.name} ended in epoch {diverged}, because its loss was "
            f"not finite; these are the weights of epoch {model.epoch}"
        )
    if model.kl_by_dim is not None and not active_dims(model.kl_by_dim):
        levels = len(model.model.latent_dims)
        effect = "only the levels below tell" if levels > 1 else "hardly anything tells"
        troubles.append(
            f"{describe_active(0, model.model.latent_dim, levels > 1)}: {effect} items apart; "
            f"see {COLLAPSE_PAGE}"
        )
    return troubles


def describe_run(model: "TrainedModel") -> str:
    """What a model was trained on, and for how long."""
    epochs = model.settings.training.epochs
    length = "1 epoch" if epochs == 1 else f"epoch {model.epoch} of {epochs}"
    return f"{plural(model.train_items, 'item')} of {model.spec.name}, {length}"


def choose_seed(seed: int | None, terminal: Terminal) -> int:
    """The seed that was given, or a random one, which is printed."""
    if seed is None:
        seed = secrets.randbelow(2**32)
        terminal.remark(f"seed {seed}")
    return seed


@final
@dataclass(frozen=True)
class Fitting:
    """How a picture file is made to look like the pictures of the training.

    Attributes:
        invert: whether black and white are exchanged.
        fit: whether the whole picture is taken, or the object on it.
    """

    invert: Annotated[
        bool, typer.Option("--invert", help="Invert the brightness, as a photo on white needs.")
    ] = False
    fit: Annotated[
        Literal["training", "object"],
        typer.Option(
            "--fit",
            help="How a picture is fitted: as in the training; or object, which is what differs "
            "from its border, drawn in the middle as in MNIST.",
        ),
    ] = "training"

    @property
    def find_object(self) -> bool:
        """Whether only the object on a picture is taken."""
        return self.fit == "object"

    def require_use(self, *, has_file: bool, remedy: str = "name a FILE") -> None:
        """Refuse an option if no file is read, or if one of them does the other's work.

        Raises:
            UsageError: one of them has no effect.
        """
        refuse_unused("--invert", self.invert and not has_file, remedy)
        refuse_unused("--fit", self.find_object and not has_file, remedy)
        refuse_unused("--invert", self.invert and self.find_object, "leave out --fit object")


FittingGroup = Annotated[Fitting, OptionGroup(Fitting)]


class Items(NamedTuple):
    """Items that a command works on.

    Attributes:
        names: one per item, for a person.
        items: `(N, ...)`.
        texts: the columns `name` and `label` that `vae embed` writes for the items, if known.
        y: what the model is told of them, as its methods take it; None if nothing is known, or it
            is in their rows.
    """

    names: list[str]
    items: "Tensor"
    texts: Mapping[str, Sequence[str]]
    y: Any = None

    def head(self, count: int) -> "Items":
        """The first of them."""
        texts = {title: column[:count] for title, column in self.texts.items()}
        y = None if self.y is None else self.y[:count]
        return Items(self.names[:count], self.items[:count], texts, y)

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
    fitting: Fitting,
) -> Items:
    """Read items from files, in the model's shape.

    Raises:
        UsageError: a file cannot be read, or holds items that the model cannot take.
    """
    for path in paths:
        if not exists(path):
            require_no_run(path)
    from vae_cli.rendering.kind import Adjustment

    adjustment = Adjustment(invert=fitting.invert, find_object=fitting.find_object)
    names, items, hints, texts = model.kind.read_files(paths, adjustment)
    for hint in hints:
        terminal.remark(show_options(hint), "yellow")
    return Items(names, items, texts)


def take_test_items(model: "TrainedModel", start: int, count: int) -> Items:
    """Take items of the test set, beginning with number `start`.

    Raises:
        UsageError: the test set is smaller, or the data are not available any more.
    """
    found = model.test_set()
    test = found.split
    if start >= len(test):
        raise UsageError(f"--index {start}: the test set has items 0 to {len(test) - 1}")
    places = range(start, min(start + count, len(test)))
    told = take_conditions(test, places)
    return Items(found.titles(places), test.items_at(places), found.texts(places), told)


def take_conditions(split: "InMemory", places: Sequence[int]) -> "Tensor | None":
    """What is known about the items at some places, for a conditional model; None if nothing is."""
    return None if split.condition is None else split.condition[list(places)]


def take_items_of_classes(model: "TrainedModel", names: Sequence[str]) -> Items:
    """Take one test item for each class that is named; a repeated class gives its next item.

    Without names, take one item of the first class and one of the last, or the first two items if
    there are no classes.

    Raises:
        UsageError: a class is unknown or has too few items, or there are no classes.
    """
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
    told = take_conditions(test, rows)
    return Items(found.titles(rows), test.items_at(rows), found.texts(rows), told)


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
        raise UsageError(f"--class {name}: which of {list_some(several, MAX_NAMED_CLASSES)}?")
    near = difflib.get_close_matches(wanted, known, 1)
    if near:
        raise UsageError(f"--class {name}: did you mean {spec.classes[known.index(near[0])]}?")
    raise UsageError(
        f"--class {name}: the classes are {list_some(spec.classes, MAX_NAMED_CLASSES)}"
    )


def _letters(name: str) -> str:
    """The letters and digits of a name in lower case."""
    return "".join(filter(str.isalnum, name.casefold()))


def parse_dims(words: list[str], kl_by_dim: "Tensor | None", count: int) -> list[int]:
    """The dimensions that were asked for; `all` and `active` are in the order of `sort_dims`.

    Args:
        words: each is a number, several as in `1,2`, or `all`, or `active` for those with a KL.
        kl_by_dim: of all dimensions, `(D,)`; None if it is not known.
        count: D.

    Raises:
        UsageError: a word is not a number, or it is out of range, or it is not known which
            dimensions are active.
    """
    words = [part.strip() for word in words for part in word.split(",")]
    if words == ["all"]:
        return sort_dims(kl_by_dim, count)
    if words == ["active"]:
        if kl_by_dim is None:
            raise UsageError("--dim active: the KL of each dimension is not known: use --dim all")
        return active_dims(kl_by_dim)
    if "all" in words:
        raise UsageError("--dim all stands alone: it is every dimension already")
    if "active" in words:
        raise UsageError("--dim active stands alone: it is every dimension with a KL already")
    allowed = set(map(str, range(count)))
    for word in words:
        if word not in allowed:
            raise UsageError(f"--dim {word}: choose 0 to {count - 1}, or all")
    return [int(word) for word in words]


def sort_dims(kl_by_dim: "Tensor | None", count: int) -> list[int]:
    """All dimensions, from the one that tells most; by their numbers if that is not known."""
    if kl_by_dim is None:
        return list(range(count))
    order: list[int] = kl_by_dim.argsort(descending=True).tolist()
    return order


def take_kl(kl_by_dim: "Tensor | None", dims: Sequence[int]) -> list[float | None]:
    """The KL of some dimensions, in nats; None of each if it is not known."""
    return [None if kl_by_dim is None else float(kl_by_dim[dim]) for dim in dims]


def show_kl(kl: float | None, decimals: int) -> str:
    """A KL for a table; empty if it is not known."""
    return "" if kl is None else f"{kl:.{decimals}f}"


def active_dims(kl_by_dim: "Tensor") -> list[int]:
    """The dimensions that carry information, sorted by their KL `(D,)`; may be empty."""
    from vae_cli.training import ACTIVE_THRESHOLD

    order = sort_dims(kl_by_dim, len(kl_by_dim))
    return [dim for dim in order if kl_by_dim[dim] > ACTIVE_THRESHOLD]


MAX_COLUMNS = 200


def parse_offsets(text: str) -> list[float]:
    """The numbers START, START + STEP, ... below STOP, or above it if STEP is negative.

    Raises:
        UsageError: not three finite numbers, a step of 0 or of the wrong sign, or too many columns.
    """
    try:
        start, stop, step = (float(part) for part in text.split(":"))
    except ValueError as error:
        raise UsageError(f"--offset {text}: write START:STOP:STEP, as in -0.5:3:0.25") from error
    if not all(map(math.isfinite, (start, stop, step))):
        raise UsageError(f"--offset {text}: the three numbers must be finite")
    if step == 0:
        raise UsageError(f"--offset {text}: the step must not be 0")
    count = round((stop - start) / step, 9)  # 1:1.3:0.1 is three columns, though 1.3 - 1 > 0.3
    if count <= 0:
        raise UsageError(
            f"--offset {text} is empty: a step of {step:g} does not lead from {start:g} to {stop:g}"
        )
    if count > MAX_COLUMNS:
        raise UsageError(
            f"--offset {text} asks for {count:.0f} columns: at most {MAX_COLUMNS} fit a picture"
        )
    return [start + index * step for index in range(math.ceil(count))]
