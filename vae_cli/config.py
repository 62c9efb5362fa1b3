"""What can be set: one schema, nothing but data.

A setting's name, type, range, default and one line of help stand here and nowhere else. The flags
of `vae train`, `--config FILE`, `--set section.key=value`, a run's `config.toml`, `--help` and the
table in the README are all read from it. Precedence: defaults < config file < what was typed.

Nothing here imports pydantic before a value is validated, so that `vae --help` stays fast.
"""

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
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

from vae_cli.errors import UsageError

_T = TypeVar("_T")
DataName = Literal["fashion-mnist"]
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

    name: Annotated[DataName, Setting("Data set to learn.", "--data")] = "fashion-mnist"
    limit: Annotated[
        int,
        Interval(ge=0, le=1_000_000_000),
        Setting(
            "Use only the first so many images of each part, for a quick try; 0 is all.", "--limit"
        ),
    ] = 0


@section
class ModelConfig:
    """What is learned."""

    hidden: Annotated[
        tuple[Annotated[int, Interval(ge=1, le=65536)], ...],
        Len(1, 16),
        Setting(
            "Width of a hidden layer of the encoder; repeat for more layers. "
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
    ] = 3e-3
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
        int, Interval(ge=1, le=1_000_000), Setting("Images a step.", "--batch-size")
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


def read(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, not yet validated.

    Raises:
        UsageError: the file is missing, unreadable, larger than 1 MiB, or not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(2**20 + 1)
        if len(content) > 2**20:
            raise UsageError(f"{path} is larger than 1 MiB: not a config file")
        return tomllib.loads(content.decode())
    except OSError as error:
        raise UsageError(f"cannot read config {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # TOML and UTF-8 errors are ValueErrors
        raise UsageError(f"{path} is not TOML: {error or 'nested too deeply'}") from error


def assignment(text: str) -> dict[str, Any]:
    """`section.key=value` as a layer of settings; a value that is not TOML is taken as text.

    Raises:
        UsageError: there is no `=` or no section.
    """
    key, equals, value = text.partition("=")
    part, dot, name = key.strip().partition(".")
    if not (equals and dot):
        raise UsageError(f"--set {text}: write section.key=value, as in model.latent_dim=10")
    try:
        return {part: {name: tomllib.loads(f"value = {value}")["value"]}}
    except (tomllib.TOMLDecodeError, RecursionError):
        return {part: {name: value}}


def resolve(*layers: tuple[str, Mapping[str, Any]]) -> Config:
    """The validated config of several layers, later ones over earlier ones.

    Each layer is `(source, tables)`; the source names it in an error.

    Raises:
        UsageError: an unknown key (names the nearest), a wrong type, or a value out of range.
    """
    merged: dict[str, dict[str, Any]] = {}
    for source, tables in layers:
        _validate(source, tables)
        for name, table in tables.items():
            merged[name] = merged.get(name, {}) | dict(table)
    return _validate("config", merged)


def on_device(config: Config, device: str) -> Config:
    """The same config with the device that `auto` turned out to be."""
    name = cast("DeviceName", device)
    return dataclasses.replace(config, training=dataclasses.replace(config.training, device=name))


def to_dict(config: Config) -> dict[str, dict[str, Any]]:
    """The tables of a config: numbers, texts and lists only, as TOML and JSON have them."""
    tables: dict[str, dict[str, Any]] = json.loads(json.dumps(dataclasses.asdict(config)))
    return tables


def dumps(config: Config) -> str:
    """The config as TOML, every setting spelled out."""
    import tomli_w

    return tomli_w.dumps(to_dict(config))


def _validate(source: str, tables: Mapping[str, Any]) -> Config:
    from pydantic import TypeAdapter, ValidationError

    try:  # as JSON, where strict means: a list is a tuple, but "20" is not 20 and true is not 1
        return TypeAdapter(Config).validate_json(json.dumps(tables, default=str), strict=True)
    except ValidationError as error:
        raise UsageError(f"{source}: {_explain(error.errors()[0])}") from error


def _explain(error: Any) -> str:
    """One line for one of pydantic's errors: the key, the value, what would be right."""
    key = ".".join(map(str, error["loc"]))
    if error["type"] != "unexpected_keyword_argument":
        expected = error["msg"].removeprefix("Input should be ")
        return f"{key} = {json.dumps(error['input'])}: must be {expected}"
    known = [entry.key for entry in entries()] + [part.name for part in fields(Config)]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
    return f"{key} is not a setting; the nearest is {near}"
