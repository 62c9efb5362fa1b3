"""The table [published] of a config file, and the experiments that have one."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from support import Refused

from vae_cli.errors import UsageError
from vae_cli.settings import Experiment, merge, parse_assignments
from vae_cli.settings.experiments import list_experiments, read_experiment, read_experiments
from vae_cli.settings.published import Claim, Published, validate_published

KNOWN = {"source": "a paper", "protocol": "as there"}
NUMBER = {"figure": "elbo", "expected": -240, "tolerance": 0.5}


def test_a_claim_is_a_number_to_reach_or_to_beat_or_an_order() -> None:
    order = {"figure": "mig_chen", "above": ["article"], "by": 0.1}
    best = {"figure": "log_likelihood", "beats": -225.38}
    published = validate_published("file", {**KNOWN, "claims": [NUMBER, order, best]})
    assert published == Published(
        source="a paper",
        protocol="as there",
        claims=(
            Claim(figure="elbo", expected=-240.0, tolerance=0.5),
            Claim(figure="mig_chen", above=("article",), by=0.1),
            Claim(figure="log_likelihood", beats=-225.38),
        ),
    )


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({}, "published.source is missing"),
        ({**KNOWN, "sourcce": ""}, "published.sourcce is not known; the nearest is source"),
        ({**KNOWN, "samples": "5"}, 'published.samples = "5": must be a valid integer'),
        ({**KNOWN, "samples": 0}, "published.samples = 0: must be greater than or equal to 1"),
        ({**KNOWN, "claims": NUMBER}, "published.claims = {"),
        (3, "published = 3: must be an object"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(table: Any, line: str) -> None:
    for check in (
        lambda: validate_published("file", table),
        lambda: merge(("file", {"published": table})),
    ):
        with pytest.raises(UsageError) as refusal:
            check()
        assert str(refusal.value).startswith(f"file: {line}")


@pytest.mark.parametrize(
    ("claim", "line"),
    [
        ({"expectd": 1.0}, "published.claims.expectd is not known; the nearest is expected"),
        ({"figure": "elbow"}, "published.claims.figure = "),
        ({"tolerance": 0}, "published.claims.tolerance = 0: must be greater than 0"),
        ({"expected": float("nan")}, "published.claims.expected = NaN: must be"),
        ({"expected": None}, "published.claims: elbo: give one of: expected with its"),
        ({"above": ["a"]}, "published.claims: elbo: give one of: expected with its"),
        ({"beats": -240}, "published.claims: elbo: give one of: expected with its"),
        ({"by": 1.0}, "published.claims: elbo: by has no effect without above"),
    ],
)
def test_a_wrong_claim_is_refused_in_one_line(claim: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError) as refusal:
        validate_published("file", {**KNOWN, "claims": [NUMBER | claim]})
    assert str(refusal.value).startswith(f"file: {line}")


def test_it_is_no_setting(tmp_path: Path) -> None:
    settings = merge(("file", {"published": KNOWN, "model": {"latent_dim": 3}}))
    assert settings == merge(("file", {"model": {"latent_dim": 3}}))
    with pytest.raises(UsageError, match=r"^set published\.status=x: published\.source is miss"):
        merge(*parse_assignments(["published.status=x"]))
    with pytest.raises(UsageError, match="publishd is not a setting; the nearest is published"):
        merge(("file", {"publishd": {}}))


def test_experiments_are_compared_with_experiments_of_the_same_figure() -> None:
    compared = [
        (one, read_experiment(other))
        for one in list_experiments()
        for claim in one.published.claims
        for other in claim.above
    ]
    assert compared
    assert [one.name for one, other in compared if how(one) != how(other)] == []


def how(experiment: Experiment) -> tuple[object, object]:
    """What a figure depends on."""
    return experiment.published.samples, experiment.published.seeds


def test_an_experiment_has_a_run_for_each_seed(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[published]\nsource = "a"\nprotocol = "b"\nseeds = [0, 4]\n[model]\nlatent_dim = 3\n'
    )
    experiment = read_experiment(str(tmp_path / "mine.toml"), {"training": {"device": "cpu"}})
    assert [one.name for one in experiment.variants] == ["mine-seed-0", "mine-seed-4"]
    found = {(one.config.training.seed, one.config.training.device) for one in experiment.variants}
    assert found == {(0, "cpu"), (4, "cpu")}
    assert experiment.variants[0].config.model.latent_dim == 3


def test_what_an_experiment_is_compared_with_is_needed_too() -> None:
    wanted, needed = read_experiments(["burda-iwae-50"], {})
    assert [one.name for one in wanted] == ["burda-iwae-50"]
    assert set(needed) == {"burda-iwae-5", "burda-vae-50", "burda-iwae-50"}


def test_experiments_of_the_same_name_are_not_mixed_up(tmp_path: Path, refused: Refused) -> None:
    text = '[published]\nsource = "a"\nprotocol = "b"\n'
    paths = [tmp_path / "a.toml", tmp_path / "other/a.toml"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert refused("reproduce", *paths).startswith("two of these experiments have the same name")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["xyz"], "xyz: no such file or named experiment; vae reproduce --list names"),
        (["exemplar-va"], "exemplar-va: no such file or named experiment; did you mean exemplar-"),
        (["article"], "article has no table [published], so there is nothing to reproduce"),
        ([], "nothing to reproduce: name an experiment; --list shows them"),
        (["article", "--list"], "NAME has no effect here: leave it out, or leave out --list"),
    ],
)
def test_what_cannot_be_reproduced_is_refused(
    words: list[str], line: str, refused: Refused
) -> None:
    assert refused("reproduce", *words).startswith(line)


def test_the_files_are_toml_with_a_table_for_each_row() -> None:
    folder = Path(__file__).parents[2] / "configs"
    tables = {path.stem: tomllib.loads(path.read_text()) for path in folder.glob("*.toml")}
    assert {name for name, one in tables.items() if "published" in one} == {
        one.name for one in list_experiments()
    }
