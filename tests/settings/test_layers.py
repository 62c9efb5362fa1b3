"""Settings from files, `--set` and flags: which one is used, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from vae_cli.errors import UsageError
from vae_cli.settings import (
    Config,
    differences,
    merge,
    parse_assignment,
    parse_assignments,
    parse_axis,
    read_config,
)
from vae_cli.settings.objectives import ELBO


def value(settings: Config, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(settings, section), name)


def assigned(text: str) -> Config:
    return merge(("test", parse_assignment(text)))


def test_without_settings_everything_has_its_default() -> None:
    assert merge() == Config()
    assert merge(("file.toml", {}), ("command line", {})) == Config()


def test_later_layers_override_earlier_ones() -> None:
    file = {"training": {"epochs": 1, "seed": 1, "batch_size": 1}, "model": {"latent_dim": 3}}
    settings = merge(
        ("file.toml", file),
        ("--set", {"training": {"epochs": 2, "seed": 2}}),
        ("command line", {"training": {"epochs": 3}}),
    )
    assert settings.training.epochs == 3
    assert settings.training.seed == 2
    assert settings.training.batch_size == 1
    assert settings.model.latent_dim == 3
    assert settings.objective == Config().objective
    assert file["training"]["epochs"] == 1, "a layer is never changed"


def test_a_layer_without_settings_changes_nothing() -> None:
    settings = merge(("a", {"model": {"hidden": [7, 8]}}), ("command line", {}))
    assert settings.model.hidden == (7, 8)


def test_the_differences_of_two_configs_are_in_the_order_of_the_schema() -> None:
    before = Config()
    tables = {"training": {"device": "cpu"}, "model": {"latent_dim": 2, "hidden": [7, 8]}}
    after = merge(("test", tables | {"prior": {"name": "vamp", "components": 9}}))
    found = [(change.key, change.before, change.after) for change in differences(before, after)]
    assert found == [
        ("model.latent_dim", 20, 2),
        ("model.hidden", [400], [7, 8]),
        ("prior.name", "auto", "vamp"),  # and the prior had no components before
        ("training.device", "auto", "cpu"),
    ]
    assert differences(after, after) == []


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
def test_an_assignment_has_the_same_meaning_as_a_line_of_a_file(
    text: str, key: str, expected: object
) -> None:
    assert value(assigned(text), key) == expected


WRONG = [
    "model.latent_dim='20'",
    "model.latent_dim=true",
    "model.latent_dim=20.0",
    "model.latent_dim=",
    "model.latent_dim=[20]",
    "model.latent_dim={a = 1}",
    "model.latent_dim={a = 1979-05-27}",
    "model.latent_dim=1979-05-27",
    "model.hidden=400",
    "model.hidden=[]",
    f"model.hidden={[1] * 17}",
    "model.hidden=[400, '400']",
    "model.hidden=[400, 0]",
    "model.hidden=[true]",
    "objective.beta=nan",
    "objective.beta=1e999",
    "objective.beta=false",
    "objective.beta='1'",
    "optimizer.learning_rate=0",
    "optimizer.warmup=never",
    "optimizer.schedule=1",
    "prior.name=1",
    "training.device=tpu",
    "training.seed=99999999999999999999999999999999",
]


def test_a_wrong_value_is_refused_in_one_line_with_its_key() -> None:
    for text in WRONG:
        with pytest.raises(UsageError) as refusal:
            assigned(text)
        message = str(refusal.value)
        key, _, _ = text.partition("=")
        assert key in message
        assert "must be " in message
        assert "uple" not in message, "a user writes lists"
        assert "validation" not in message, "that is a word of the library"
        assert "\n" not in message


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("model.latent_dims", "model.latent_dim"),
        ("model.latentdim", "model.latent_dim"),
        ("training.epoch", "training.epochs"),
        ("optimizer.rate", "optimizer."),
        ("objective.Beta", "objective.beta"),
        ("optimiser.schedule", "optimizer"),
        ("modle.hidden", "model"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(key: str, nearest: str) -> None:
    section, _, name = key.partition(".")
    with pytest.raises(UsageError, match=rf"{section}.* is not a setting.* {nearest}"):
        merge(("test", {section: {name: 1}}))


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "=", "=3", "model.latent_dim", "latent_dim"),
        *(".=3", "model.=3", ".latent_dim=3"),
    ],
)
def test_an_assignment_without_key_or_value_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(UsageError, match=r"write KEY=VALUE, as in beta=4"):
        parse_assignment(text)


def test_a_setting_outside_of_its_section_has_its_short_name() -> None:
    inside = ("inside", {"training": {"epochs": 3}, "model": {"hidden": [7], "network": "mlp"}})
    outside = ("outside", {"epochs": 3, "hidden": [7], "model": "mlp"})
    assert merge(outside) == merge(inside)
    assert assigned("latent-dim=3").model.latent_dim == 3
    with pytest.raises(UsageError, match=r"epochs and training\.epochs are the same setting"):
        merge(("file", {"epochs": 3, "training": {"epochs": 4}}))
    with pytest.raises(UsageError, match=r"epochs=3 and set training\.epochs=4: give only"):
        parse_assignments(["epochs=3", "training.epochs=4"])
    with pytest.raises(UsageError, match="test: epoch is not a setting; the nearest is epochs"):
        merge(("test", {"epoch": 3}))


def test_a_text_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(UsageError, match=r"test: data.name = .* is not UTF-8: rename it"):
        merge(("test", {"data": {"name": "x\udcf6"}}))


@pytest.mark.parametrize("value", ["1\nepochs=3", "1]\nx=[2", "1 # half", "1] #", "[1,\n2]", "1]"])
def test_a_text_that_is_more_than_one_value_of_toml_is_a_text(value: str) -> None:
    assert parse_assignment(f"data.name={value}") == {"data": {"name": value}}
    assert list(parse_axis(f"data={value}").values) == [part.strip() for part in value.split(",")]


def test_the_message_names_the_layer_of_a_wrong_value() -> None:
    right = ("right", {"model": {"latent_dim": 3}})
    wrong = ("wrong", {"model": {"latent_dim": 0}})
    for layers in ([right, wrong], [wrong, right]):
        with pytest.raises(UsageError, match=r"^wrong: model\.latent_dim = 0: must be "):
            merge(*layers)


@pytest.mark.parametrize("tables", [{"model": 3}, {"model": [{"latent_dim": 3}]}, 3, [], None])
def test_a_layer_or_section_that_is_not_a_table_is_refused(tables: Any) -> None:
    with pytest.raises(UsageError, match=r"^file\.toml(: model| is not a table of settings)"):
        merge(("file.toml", tables))


@pytest.mark.parametrize(
    "content", [b"epochs 3", b"[training\n", b"\xff\xfe\x00", b"a=1\na=2", b"a=" + b"[" * 5000]
)
def test_a_file_that_is_not_toml_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"odd\.toml is not TOML") as refusal:
        read_config(path)
    assert "\n" not in str(refusal.value)


def test_a_file_larger_than_1_mib_is_refused_without_reading_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    with path.open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(UsageError, match=r"odd\.toml is larger than 1 MiB"):
        read_config(path)


def test_settings_without_effect_of_a_run_of_an_earlier_version_are_dropped(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "earlier/images/config.toml").read_text()
    path, written = tmp_path / "config.toml", text.replace("groups = 4", "groups = 3")
    path.write_text(written)
    assert written != text
    assert merge((str(path), read_config(path))).objective == ELBO(beta=1.0)
    path.write_text('[objective]\nname = "elbo"\ngroups = 3\n')  # which a user wrote
    with pytest.raises(UsageError, match=r"config\.toml: objective\.groups is for"):
        merge((str(path), read_config(path)))


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.toml"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(UsageError, match=r"odd\.toml: "):
        read_config(path)
