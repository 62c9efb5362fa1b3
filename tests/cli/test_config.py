"""`vae config`."""

import json
import tomllib
from pathlib import Path

import pytest
from support import Refused, Use

from vae_cli.settings import merge, to_dict
from vae_cli.settings.json_schema import to_json_schema


def test_the_settings_of_a_run_are_its_config_file(use: Use) -> None:
    shown = use("config", "show", "small").out
    assert shown == Path("runs/small/config.toml").read_text()
    assert json.loads(use("config", "show", "sm", "--json").out) == tomllib.loads(shown)


def test_a_file_and_a_named_experiment_are_completed_with_the_defaults(use: Use) -> None:
    Path("my.toml").write_text("[optimizer]\nlr = 0.25\n")
    shown = tomllib.loads(use("config", "show", "my.toml").out)
    assert shown == to_dict(merge(("", {"optimizer": {"lr": 0.25}})))
    assert tomllib.loads(use("config", "show", "article").out)["optimizer"]["learning_rate"] == 1e-3
    assert tomllib.loads(use("config").out) == to_dict(merge())


def test_what_is_shown_can_be_trained_from(use: Use) -> None:
    Path("again.toml").write_text(use("config", "show", "small").out)
    use("train", "--config", "again.toml", "--name", "again")
    again, small = (Path(f"runs/{name}/config.toml").read_text() for name in ("again", "small"))
    assert again == small


def test_a_run_comes_before_an_experiment_with_the_same_name(use: Use, here: Path) -> None:
    (here / "runs/article").mkdir()
    (here / "runs/article/config.toml").write_text("[objective]\nbeta = 7.0\n")
    assert tomllib.loads(use("config", "show", "article").out)["objective"]["beta"] == 7


def test_the_schema_is_json(use: Use) -> None:
    assert json.loads(use("config", "schema").out) == to_json_schema()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["show", "my.toml"], "my.toml: no such file or named experiment"),
        (["show", "bad.toml"], "bad.toml: objective.beta = -1: must be auto, or 0"),
        (["show", "smll"], "no run smll: did you mean small?"),
        (
            ["schema", "small"],
            "NAME small has no effect here: leave it out, or use vae config show",
        ),
        (["sho"], "Invalid value for 'ACTION': 'sho' is not one of 'show', 'schema'"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    here: Path, refused: Refused, words: list[str], line: str
) -> None:
    (here / "bad.toml").write_text("[objective]\nbeta = -1\n")
    assert refused("config", *words).startswith(line)
