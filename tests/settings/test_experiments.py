"""Named experiments are found in an installed package and in a copy of the repository."""

import tomllib
from pathlib import Path

import pytest
from support import Refused, Use

from vae_cli.errors import UsageError
from vae_cli.settings import experiments, find_config, named_configs, read_config

ROOT = Path(__file__).parents[2]


def test_every_file_in_the_folder_configs_is_a_named_experiment() -> None:
    files = {path.stem: path.read_bytes() for path in (ROOT / "configs").glob("*.toml")}
    assert {name: path.read_bytes() for name, path in named_configs().items()} == files
    assert {"article", "fashion-mnist"} <= files.keys()


def test_the_wheel_contains_them_where_they_are_looked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"configs": "vae_cli/configs"}


def test_the_folder_in_the_package_wins_over_one_beside_it(tmp_path: Path) -> None:
    beside, inside = tmp_path / "configs", tmp_path / "package/configs"
    beside.mkdir()
    (beside / "other.toml").touch()
    assert named_configs(tmp_path / "package") == {"other": beside / "other.toml"}
    inside.mkdir(parents=True)
    (inside / "mine.toml").touch()
    assert named_configs(tmp_path / "package") == {"mine": inside / "mine.toml"}


def test_a_name_wins_over_a_file_and_everything_else_is_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("article", "mine.toml"):
        Path(name).write_text("[model]\nlatent_dim = 3\n")
    assert find_config("article").parent.name == "configs"
    for path in ("./article", "mine.toml", str(tmp_path / "article")):
        assert read_config(find_config(path)) == {"model": {"latent_dim": 3}}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("artcle", "did you mean article?"),
        ("xyz", "vae reproduce --list names the experiments"),
        ("article.toml", "did you mean article?"),
    ],
)
def test_an_unknown_name_gets_the_known_ones(name: str, hint: str, refused: Refused) -> None:
    line = refused("train", "--config", name)
    assert line == f"--config {name}: no such file or named experiment; {hint}"


def test_without_any_named_experiment_a_path_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "named_configs", dict)
    (tmp_path / "a.toml").touch()
    assert find_config(str(tmp_path / "a.toml")) == tmp_path / "a.toml"
    with pytest.raises(UsageError, match="no such file"):
        find_config("article")


def test_an_experiment_is_trained_by_its_name(use: Use) -> None:
    words = ["--limit", 64, "--epochs", 1, "--precision", "float32", "--name", "a"]
    use("train", "--config", "article", *words)
    settings = tomllib.loads(Path("runs/a/config.toml").read_text())
    assert settings["optimizer"]["schedule"] == "constant"
    assert settings["optimizer"]["learning_rate"] == 1e-3
