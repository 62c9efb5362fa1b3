"""The schema of all settings. It contains data only.

The name, type, range, default and help of a setting are here and in core.py, and nowhere else. The
flags of `vae train`, `--config FILE`, `--set section.key=value`, a run's `config.toml`, `--help`
and the table in docs/settings.md are all made from it. Precedence: defaults < config file < command
line.

Nothing here imports pydantic, so that `vae --help` stays fast.
"""

from dataclasses import field
from typing import Annotated, Literal

from annotated_types import Interval, Predicate

from vae_cli.data.value_range import is_range
from vae_cli.settings.core import LikelihoodConfig, ModelConfig, ObjectiveConfig, PriorConfig
from vae_cli.settings.interval import is_save_interval
from vae_cli.settings.setting import Setting, section
from vae_cli.settings.square import spell_square

DeviceName = Literal["auto", "cpu", "cuda", "mps"]


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
            "Height and width in pixels of a folder's pictures; 0 derives them.",
            "--image-size",
            spell=spell_square,
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
    background: Annotated[
        Literal["white", "black", "grey"],
        Setting(
            "Colour behind transparent pixels of a folder's pictures.",
            "--background",
            spellings={"gray": "grey"},
        ),
    ] = "white"
    frames: Annotated[
        Literal["first", "all"],
        Setting(
            "Of a picture file with several pages or frames, take the first one, or all as items.",
            "--frames",
        ),
    ] = "first"
    range: Annotated[
        str,
        Predicate(is_range),
        Setting(
            "Values of pictures and arrays that are black and white, beyond which they are cut off",
            "--range",
            "low:high (0:4095), data (measured on the training set), or empty (by the type)",
            metavar="LOW:HIGH",
        ),
    ] = ""
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
    validation: Annotated[
        float,
        Interval(ge=0, le=0.9),
        Setting(
            "Share of the training set that is kept for validation: the best epoch is chosen by "
            "it, and the test set is not looked at."
        ),
    ] = 0.0
    rules: Annotated[
        int,
        Interval(ge=1, le=2),
        Setting(
            "Version of the rules by which data are read and divided; runs of an earlier vae keep "
            "theirs."
        ),
    ] = 2


@section
class OptimizerConfig:
    """The optimizer."""

    name: Annotated[
        Literal["adam", "adamw", "adamax", "normgrad"],
        Setting("Method; normgrad is Adam on gradients that are scaled to norm 1 per tensor."),
    ] = "adam"
    learning_rate: Annotated[
        float,
        Interval(gt=0, le=1),
        Setting("Peak step size.", "--learning-rate", alias="lr"),
    ] = 5e-3
    schedule: Annotated[
        Literal["constant", "cosine"],
        Setting(
            "Schedule of the learning rate: constant, or a cosine that falls to 0.", "--schedule"
        ),
    ] = "cosine"
    warmup: Annotated[
        Annotated[float, Interval(ge=0, le=1)] | Literal["auto"],
        Setting(
            "Share of all steps during which the learning rate rises from 0; auto is 0.05, and for "
            "convolutional networks at least 25 steps, but at most half of all."
        ),
    ] = "auto"
    weight_decay: Annotated[
        float,
        Interval(ge=0, le=1),
        Setting("Decay of the weights.", only=("optimizer.name", ("adamw",))),
    ] = 0.01
    clip_norm: Annotated[
        float,
        Interval(ge=0, le=1e9),
        Setting(
            "Largest L2 norm of all gradients together; 0 is no limit.",
            only=("optimizer.name", ("adam", "adamw", "adamax")),
        ),
    ] = 0.0
    ema: Annotated[
        float,
        Interval(ge=0, le=0.99999),
        Setting("Decay of a moving average of the weights, which is then evaluated; 0 is off."),
    ] = 0.0


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
    start: Annotated[
        str,
        Setting(
            "Run whose weights the training starts from; its data and its model are the defaults.",
            "--start-from",
            metavar="RUN",
        ),
    ] = ""
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
    patience: Annotated[
        int,
        Interval(ge=0, le=100_000),
        Setting("Stop after so many epochs without a better one, after the warm-up; 0 never."),
    ] = 0
    best: Annotated[
        Literal["loss", "elbo"],
        Setting(
            "Figure by which the best epoch is chosen; loss is what was asked for, and elbo "
            "compares runs with another objective."
        ),
    ] = "loss"
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
    likelihood: LikelihoodConfig = field(default_factory=LikelihoodConfig)
    prior: PriorConfig = field(default_factory=PriorConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
