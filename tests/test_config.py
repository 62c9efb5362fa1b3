"""One schema: what stands over what, what is refused, and what the refusal says."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, get_args

import pytest

from vae_cli import config
from vae_cli.config import Config, Entry
from vae_cli.errors import UsageError

ENTRIES = list(config.entries())


def value(settings: Config, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(settings, section), name)


def resolved(text: str) -> Config:
    return config.resolve(("test", config.assignment(text)))


def by_key(entry: Entry) -> str:
    return entry.key


def test_nothing_given_is_every_default() -> None:
    assert config.resolve() == Config()
    for entry in ENTRIES:
        assert value(Config(), entry.key) == entry.default


def test_the_schema_lists_every_setting_once() -> None:
    tables = config.to_dict(Config())
    keys = [f"{section}.{name}" for section, table in tables.items() for name in table]
    assert [entry.key for entry in ENTRIES] == keys
    flags = [entry.flag for entry in ENTRIES if entry.flag]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("entry", ENTRIES, ids=by_key)
def test_every_setting_has_help_and_a_range_around_its_default(entry: Entry) -> None:
    assert entry.help.endswith(".")
    assert entry.help[0].isupper()
    assert entry.flag is None or entry.flag.startswith("--")
    if entry.low is not None:
        assert entry.high is not None
        assert math.isfinite(entry.high)
        assert entry.low <= entry.default <= entry.high
        assert not (entry.open_below and entry.default == entry.low)
        assert entry.range
    elif entry.range:
        assert entry.default in get_args(entry.type)
        assert entry.default in entry.range


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.low is not None], ids=by_key)
def test_a_range_is_closed_where_it_says_and_ends_there(entry: Entry) -> None:
    low, high = entry.low, entry.high
    assert low is not None
    assert high is not None
    step = 1 if entry.type is int else 1e-9 * (high - low)

    def accepted(number: float) -> bool:
        try:
            config.resolve(("test", {entry.section: {entry.name: number}}))
        except UsageError:
            return False
        return True

    assert accepted(high)
    assert not accepted(high + step)
    assert accepted(low) is not entry.open_below
    assert accepted(low + step)
    assert not accepted(low - step)


def test_later_layers_stand_over_earlier_ones() -> None:
    file = {"training": {"epochs": 1, "seed": 1, "batch_size": 1}, "model": {"latent_dim": 3}}
    settings = config.resolve(
        ("file.toml", file),
        ("--set", {"training": {"epochs": 2, "seed": 2}}),
        ("command line", {"training": {"epochs": 3}}),
    )
    assert settings.training.epochs == 3
    assert settings.training.seed == 2
    assert settings.training.batch_size == 1
    assert settings.model.latent_dim == 3
    assert settings.objective == Config().objective
    assert file["training"]["epochs"] == 1, "no layer is changed"


def test_a_command_line_without_flags_changes_nothing() -> None:
    settings = config.resolve(("a", {"model": {"hidden": [7, 8]}}), ("command line", {}))
    assert settings.model.hidden == (7, 8)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": {"hidden": [512, 256, 64], "latent_dim": 1}},
        {"objective": {"beta": 0.0}, "optimizer": {"learning_rate": 1e-7, "warmup": 1.0}},
        {"objective": {"beta": 1 / 3}},
        {"training": {"seed": 2**63 - 1, "device": "cpu"}, "optimizer": {"schedule": "constant"}},
    ],
)
def test_a_written_config_reads_back_as_itself(tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = config.resolve(("test", changes))
    path = tmp_path / "config.toml"
    path.write_text(config.dumps(settings))
    tables = config.read(path)
    assert tables == config.to_dict(settings)
    assert config.resolve(("again", tables)) == settings
    assert config.resolve(("json", json.loads(json.dumps(tables)))) == settings


def test_the_device_that_auto_became_is_all_that_changes() -> None:
    settings = config.on_device(Config(), "cpu")
    assert settings.training.device == "cpu"
    back = dataclasses.replace(
        settings, training=dataclasses.replace(settings.training, device="auto")
    )
    assert back == Config()


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("model.latent_dim=10", "model.latent_dim", 10),
        (" model.latent_dim = 10", "model.latent_dim", 10),
        ("objective.beta=2", "objective.beta", 2.0),
        ("objective.beta=1e-3", "objective.beta", 1e-3),
        ("optimizer.schedule=constant", "optimizer.schedule", "constant"),
        ('optimizer.schedule="constant"', "optimizer.schedule", "constant"),
        ("model.hidden=[3, 4]", "model.hidden", (3, 4)),
        ("data.limit=1_000", "data.limit", 1000),
    ],
)
def test_an_assignment_means_what_a_file_would(text: str, key: str, expected: object) -> None:
    assert value(resolved(text), key) == expected


@pytest.mark.parametrize(
    "text",
    [
        "model.latent_dim='20'",
        "model.latent_dim=true",
        "model.latent_dim=20.0",
        "model.latent_dim=20.5",
        "model.latent_dim=nan",
        "model.latent_dim=",
        "model.latent_dim=twenty",
        "model.latent_dim=[20]",
        "model.latent_dim={a = 1}",
        "model.latent_dim=1979-05-27",
        "model.hidden=400",
        "model.hidden=[]",
        "model.hidden=[400, '400']",
        "model.hidden=[400, 0]",
        "model.hidden=[true]",
        "objective.beta=nan",
        "objective.beta=inf",
        "objective.beta=-inf",
        "objective.beta=1e999",
        "objective.beta=-0.1",
        "objective.beta=false",
        "objective.beta='1'",
        "optimizer.learning_rate=0",
        "optimizer.schedule=linear",
        "optimizer.schedule=1",
        "training.device=tpu",
        "training.seed=9223372036854775808",
        "training.seed=99999999999999999999999999999999",
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_names_key_and_value(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        resolved(text)
    message = str(refusal.value)
    key, _, _ = text.partition("=")
    assert key in message
    assert "must be " in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optimizer.schedule=linear", "cosine"),
        ("training.device=tpu", "mps"),
        ("model.latent_dim=0", "1"),
        ("model.latent_dim=4097", "4096"),
        ("optimizer.learning_rate=2", "1"),
    ],
)
def test_a_refusal_names_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=rf"must be .*{said}"):
        resolved(text)


@pytest.mark.parametrize("text", ["model.hidden=[]", f"model.hidden={[1] * 17}"])
def test_the_refusal_of_a_list_of_the_wrong_length_speaks_no_python(text: str) -> None:
    with pytest.raises(UsageError) as refusal:
        resolved(text)
    assert "Tuple" not in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("model.latent_dims", "model.latent_dim"),
        ("model.latentdim", "model.latent_dim"),
        ("training.epoch", "training.epochs"),
        ("optimizer.lr", "optimizer."),
        ("objective.Beta", "objective.beta"),
        ("optimiser.schedule", "optimizer"),
        ("modle.hidden", "model"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(key: str, nearest: str) -> None:
    section, _, name = key.partition(".")
    with pytest.raises(UsageError, match=rf"{section}.* is not a setting.* {nearest}"):
        config.resolve(("test", {section: {name: 1}}))


@pytest.mark.parametrize(
    "text", ["", "x", "=", "=3", "model=3", "model.latent_dim", "latent_dim=3"]
)
def test_an_assignment_without_section_key_or_value_shows_how(text: str) -> None:
    with pytest.raises(UsageError, match=r"section\.key=value"):
        config.assignment(text)


@pytest.mark.parametrize("text", [".=3", "model.=3", ".latent_dim=3"])
def test_an_assignment_with_an_empty_name_shows_how(text: str) -> None:
    with pytest.raises(UsageError, match=r"section\.key=value"):
        resolved(text)


def test_an_assignment_sets_one_key_and_smuggles_in_no_other() -> None:
    with pytest.raises(UsageError):
        resolved("training.seed=1\nepochs=3")


def test_the_source_of_a_wrong_value_is_named() -> None:
    right: dict[str, Any] = {"model": {"latent_dim": 3}}
    wrong: dict[str, Any] = {"model": {"latent_dim": 0}}
    for layers in ([right, wrong], [wrong, right]):
        named = [(f"layer {tables is wrong}", tables) for tables in layers]
        with pytest.raises(UsageError, match="layer True"):
            config.resolve(*named)


def test_a_section_that_is_no_table_is_refused() -> None:
    with pytest.raises(UsageError, match="model"):
        config.resolve(("test", {"model": 3}))
    with pytest.raises(UsageError, match="model"):
        config.resolve(("test", {"model": [{"latent_dim": 3}]}))


@pytest.mark.parametrize(
    "content", [b"epochs 3", b"[training\n", b"\xff\xfe\x00", b"a=1\na=2", b"a=" + b"[" * 5000]
)
def test_a_file_that_is_not_toml_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"odd\.toml is not TOML") as refusal:
        config.read(path)
    assert "\n" not in str(refusal.value)


def test_a_file_too_large_for_settings_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    with path.open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(UsageError, match=r"odd\.toml is larger than 1 MiB"):
        config.read(path)


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.toml"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(UsageError, match=r"odd\.toml: "):
        config.read(path)
