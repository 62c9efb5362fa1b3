"""The schema of all settings. It contains data only.

The name, type, range, default and help of a setting are here and nowhere else. The flags of
`vae train`, `--config FILE`, `--set section.key=value`, a run's `config.toml`, `--help` and the
table in docs/settings.md are all made from it. Precedence: defaults < config file < command line.

Nothing here imports pydantic, so that `vae --help` stays fast.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar, dataclass_transform

from annotated_types import Interval, Len, Predicate

from vae_cli.config.interval import is_save_interval

_T = TypeVar("_T")
DeviceName = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Setting:
    """What a user reads about a setting.

    Attributes:
        help: one line.
        flag: the option that sets it; a setting without one is reached with `--set`.
        format: how a text must be written, if not every text is allowed.
        alias: a shorter name that many people type; it is accepted in every place.
        spellings: other spellings of an allowed value.
        metavar: what stands for the value in `--help`, if it is the name of something.
    """

    help: str
    flag: str | None = None
    format: str = ""
    alias: str = ""
    spellings: Mapping[str, str] = field(default_factory=dict)
    metavar: str | None = None


@dataclass_transform(kw_only_default=True, frozen_default=True)
def section(cls: type[_T]) -> type[_T]:
    """Make a frozen dataclass in which an unknown key is an error."""
    cls.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
    return dataclass(frozen=True, kw_only=True)(cls)


@section
class DataConfig:
    """The data to train on."""

    name: Annotated[
        str,
        Setting(
            "Data to train on: the name of a data set, a folder of pictures, "
            "or a .npy, .npz, .safetensors, .csv or .tsv file.",
            "--data",
        ),
    ] = "fashion-mnist"
    limit: Annotated[
        int,
        Interval(ge=0, le=1_000_000_000),
        Setting(
            "Use only this many items of the training set and of the test set; 0 uses all.",
            "--limit",
        ),
    ] = 0
    image_size: Annotated[
        int,
        Interval(ge=0, le=1024),
        Setting(
            "Height and width in pixels of a folder's pictures; 0 derives them.", "--image-size"
        ),
    ] = 0
    channels: Annotated[
        Literal["auto", "grey", "rgb"],
        Setting(
            "Channels of a folder's pictures; auto is grey if all of them are.",
            "--channels",
            spellings={"gray": "grey"},
        ),
    ] = "auto"
    test_fraction: Annotated[
        float,
        Interval(ge=0.001, le=0.9),
        Setting(
            "Share of the items held out for testing, if the data have no test set.",
            "--test-fraction",
        ),
    ] = 0.1
    label: Annotated[
        str,
        Setting(
            "Column of a table that holds the class; it is not learned.",
            "--label",
            metavar="COLUMN",
        ),
    ] = ""
    drop: Annotated[
        tuple[str, ...],
        Setting(
            "Columns of a table that are left out; A,B are two.",
            "--drop",
            metavar="COLUMNS",
        ),
    ] = ()
    missing: Annotated[
        Literal["error", "drop", "mean"],
        Setting(
            "If a table has missing values: an error, drop the row, or take the column's mean.",
            "--missing",
        ),
    ] = "error"


@section
class ModelConfig:
    """The network."""

    network: Annotated[
        Literal["auto", "mlp", "conv"],
        Setting(
            "Fully connected or convolutional; auto is mlp for tables and 28x28 grey images.",
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
            "Width of a hidden layer of the mlp's encoder; 400,200 makes two layers. "
            "The decoder has the same layers in reverse.",
            "--hidden",
        ),
    ] = (400,)
    latent_dim: Annotated[
        int, Interval(ge=1, le=4096), Setting("Dimensions of the latent space.", "--latent-dim")
    ] = 20


@section
class ObjectiveConfig:
    """The objective."""

    beta: Annotated[
        float, Interval(ge=0, le=1e6), Setting("Weight of the KL divergence in the loss.", "--beta")
    ] = 1.0


@section
class OptimizerConfig:
    """The optimizer."""

    learning_rate: Annotated[
        float,
        Interval(gt=0, le=1),
        Setting("Peak step size of Adam.", "--learning-rate", alias="lr"),
    ] = 5e-3
    schedule: Annotated[
        Literal["constant", "cosine"],
        Setting(
            "Schedule of the learning rate: constant, or a cosine that falls to 0.", "--schedule"
        ),
    ] = "cosine"
    warmup: Annotated[
        float,
        Interval(ge=0, le=1),
        Setting("Share of all steps during which the learning rate rises from 0."),
    ] = 0.05


@section
class TrainingConfig:
    """Length, batches, random numbers and device of the training."""

    epochs: Annotated[
        int,
        Interval(ge=1, le=100_000),
        Setting("Number of passes over the training set.", "--epochs"),
    ] = 20
    batch_size: Annotated[
        int, Interval(ge=1, le=1_000_000), Setting("Number of items per step.", "--batch-size")
    ] = 128
    seed: Annotated[
        int,
        Interval(ge=0, le=2**63 - 1),
        Setting("Seed of every random number; a CPU run repeats bit for bit.", "--seed"),
    ] = 0
    device: Annotated[
        DeviceName,
        Setting("Device to compute on; auto takes the fastest that is available.", "--device"),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "tf32", "bfloat16"],
        Setting(
            "Number format of the matrix products; auto takes the fastest safe one.", "--precision"
        ),
    ] = "auto"
    save_every: Annotated[
        str,
        Predicate(is_save_interval),
        Setting(
            "Time between two saves", "--save-every", "epochs (5), seconds (30s) or minutes (10m)"
        ),
    ] = "1m"


@section
class Config:
    """All settings of a run."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
