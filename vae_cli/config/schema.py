"""What can be set: one schema, nothing but data.

A setting's name, type, range, default and one line of help stand here and nowhere else. The flags
of `vae train`, `--config FILE`, `--set section.key=value`, a run's `config.toml`, `--help` and the
table in the README are all read from it. Precedence: defaults < config file < what was typed.

Nothing here imports pydantic, so that `vae --help` stays fast.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    get_type_hints,
)

from annotated_types import Interval, Len

_T = TypeVar("_T")
DeviceName = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Setting:
    """What a person reads about a field, and the flag that sets it (none: only `--set`)."""

    help: str
    flag: str | None = None


@dataclass_transform(kw_only_default=True, frozen_default=True)
def section(cls: type[_T]) -> type[_T]:
    """A frozen dataclass in which an unknown key is an error."""
    cls.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
    return dataclass(frozen=True, kw_only=True)(cls)


@section
class DataConfig:
    """What is learned from."""

    name: Annotated[
        str,
        Setting(
            "What to learn: a data set's name, a folder of pictures, "
            "or a .npy, .npz, .safetensors, .csv or .tsv file.",
            "--data",
        ),
    ] = "fashion-mnist"
    limit: Annotated[
        int,
        Interval(ge=0, le=1_000_000_000),
        Setting(
            "Use only the first so many items of each part, for a quick try; 0 is all.", "--limit"
        ),
    ] = 0
    image_size: Annotated[
        int,
        Interval(ge=0, le=1024),
        Setting("Height and width of a folder's pictures; 0 derives them.", "--image-size"),
    ] = 0
    channels: Annotated[
        Literal["auto", "grey", "rgb"],
        Setting("Of a folder's pictures; auto is grey where all are.", "--channels"),
    ] = "auto"
    test_fraction: Annotated[
        float,
        Interval(ge=0.001, le=0.9),
        Setting(
            "Share of the items held out, where the data have no test part.", "--test-fraction"
        ),
    ] = 0.1


@section
class ModelConfig:
    """What is learned."""

    network: Annotated[
        Literal["auto", "mlp", "conv"],
        Setting(
            "Fully connected or convolutional; auto is mlp for vectors and 28x28 grey images.",
            "--model",
        ),
    ] = "auto"
    preset: Annotated[
        Literal["small", "base", "large"],
        Setting("Width and depth of the convolutional network.", "--preset"),
    ] = "small"
    hidden: Annotated[
        tuple[Annotated[int, Interval(ge=1, le=65536)], ...],
        Len(1, 16),
        Setting(
            "Width of a hidden layer of the mlp's encoder; repeat for more layers. "
            "The decoder mirrors them.",
            "--hidden",
        ),
    ] = (400,)
    latent_dim: Annotated[
        int, Interval(ge=1, le=4096), Setting("Dimensions of the latent space.", "--latent-dim")
    ] = 20


@section
class ObjectiveConfig:
    """What is optimised."""

    beta: Annotated[
        float, Interval(ge=0, le=1e6), Setting("Weight of the KL divergence in the loss.", "--beta")
    ] = 1.0


@section
class OptimizerConfig:
    """How it is optimised."""

    learning_rate: Annotated[
        float, Interval(gt=0, le=1), Setting("Peak step size of Adam.", "--learning-rate")
    ] = 5e-3
    schedule: Annotated[
        Literal["constant", "cosine"],
        Setting("Course of the learning rate: constant, or a cosine down to 0.", "--schedule"),
    ] = "cosine"
    warmup: Annotated[
        float,
        Interval(ge=0, le=1),
        Setting("Share of all steps over which the learning rate first rises from 0."),
    ] = 0.05


@section
class TrainingConfig:
    """For how long, where, and from which random numbers."""

    epochs: Annotated[
        int, Interval(ge=1, le=1_000_000), Setting("Passes over the training set.", "--epochs")
    ] = 20
    batch_size: Annotated[
        int, Interval(ge=1, le=1_000_000), Setting("Items a step.", "--batch-size")
    ] = 128
    seed: Annotated[
        int,
        Interval(ge=0, le=2**63 - 1),
        Setting("Seed of every random number; a CPU run repeats bit for bit.", "--seed"),
    ] = 0
    device: Annotated[
        DeviceName,
        Setting("Where to compute; auto takes the best there is.", "--device"),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "tf32", "bfloat16"],
        Setting("Of the matrix products; auto takes the fastest sound one.", "--precision"),
    ] = "auto"
    save_every: Annotated[
        str,
        Setting("Save after so many epochs (5), seconds (30s) or minutes (10m).", "--save-every"),
    ] = "1m"


@section
class Config:
    """Everything that decides how a run comes out."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


@dataclass(frozen=True)
class Entry:
    """One setting as the schema states it."""

    section: str
    name: str
    type: Any
    default: Any
    help: str
    flag: str | None
    low: float | None
    high: float | None
    open_below: bool

    @property
    def key(self) -> str:
        """The name in a file and for `--set`: `section.name`."""
        return f"{self.section}.{self.name}"

    @property
    def range(self) -> str:
        """The allowed values, for a person."""
        if self.low is not None:
            return f"{self.low:,} {'<' if self.open_below else '≤'} x ≤ {self.high:,}"
        return ", ".join(str(choice) for choice in get_args(self.type) if isinstance(choice, str))


def entries() -> Iterator[Entry]:
    """Every setting, in the order of the schema."""
    for part in fields(Config):
        assert isinstance(part.type, type)
        hints = get_type_hints(part.type, include_extras=True)
        for item in fields(part.type):
            kind, *notes = get_args(hints[item.name])
            setting = next(note for note in notes if isinstance(note, Setting))
            interval = next((note for note in notes if isinstance(note, Interval)), Interval())
            yield Entry(
                part.name,
                item.name,
                kind,
                item.default,
                setting.help,
                setting.flag,
                low=cast("float | None", interval.gt if interval.ge is None else interval.ge),
                high=cast("float | None", interval.le),
                open_below=interval.gt is not None,
            )
