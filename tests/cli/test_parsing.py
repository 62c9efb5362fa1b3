"""An option that is not a list may be given once."""

from typing import Any

import pytest
from support import Refused
from typer.core import TyperOption
from typer.main import get_command

from vae_cli.cli._app import COMMANDS, app, main
from vae_cli.cli._parsing import parse_where
from vae_cli.errors import UsageError

VALUES = {  # two values of an option, where 1 and 2 are not allowed
    "impute --samples": ("16", "32"),
    "--device": ("cpu", "cuda"),
    "--channels": ("grey", "rgb"),
    "--model": ("mlp", "conv"),
    "--objective": ("elbo", "tc"),
    "--likelihood": ("mse", "laplace"),
    "--posterior": ("normal", "vq"),
    "--prior": ("normal", "mog"),
    "--sampler": ("prior", "gmm"),
    "--features": ("classifier", "inception"),
    "--explain": ("all", "none"),
    "--images": ("100", "200"),
    "--preset": ("small", "base"),
    "--schedule": ("constant", "cosine"),
    "--precision": ("float32", "bfloat16"),
    "--missing": ("drop", "mean"),
    "--by": ("likelihood", "kl"),
    "--method": ("pca", "tsne"),
    "--background": ("white", "black"),
    "--fit": ("training", "object"),
    "--frames": ("first", "all"),
    "--steps": ("2", "3"),
    "--learning-rate": ("0.5", "1"),
    "--test-fraction": ("0.1", "0.2"),
    "--warmup": ("0.1", "0.2"),
}


def options(name: str) -> list[Any]:
    group: Any = get_command(app)
    return [
        one
        for one in group.commands[name].params
        if isinstance(one, TyperOption) and not one.multiple
    ]


def test_every_option_that_is_not_a_list_is_refused_if_it_is_given_twice(
    refused: Refused, subtests: pytest.Subtests
) -> None:
    for command in COMMANDS:
        for option in options(command):
            flag = max(option.opts, key=len)
            first, second = VALUES.get(f"{command} {flag}", VALUES.get(flag, ("1", "2")))
            words = [flag, flag] if option.is_flag else [flag, first, f"{flag}={second}"]
            typed = [flag, flag] if option.is_flag else [f"{flag} {first}", f"{flag} {second}"]
            with subtests.test(f"{command} {flag}"):
                expected = f"{' and '.join(typed)}: give only one of them"
                assert refused(command, *words) == expected


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (["sample", "-n", "4", "--count", "5", "-n6"], "--count 4 and --count 5 and --count 6"),
        (["sample", "-qq"], "--quiet and --quiet"),
        (["explore", "--browser", "--no-browser"], "--browser and --no-browser"),
        (["sample", "-o", "--seed", "--seed", "3", "--seed", "3"], "--seed 3 and --seed 3"),
    ],
)
def test_both_values_are_named(words: list[str], typed: str, refused: Refused) -> None:
    assert refused(*words) == f"{typed}: give only one of them"


def test_a_value_that_looks_like_an_option_is_a_value(refused: Refused) -> None:
    line = refused("sample", "-o", "--seed", "--seed", "3")
    assert line.startswith("--output --seed: end it with .png")


def test_lists_take_several_values(refused: Refused) -> None:
    line = refused("train", "--data", "nothing", "--hidden", "4", "--hidden", "5")
    assert line.startswith("--data nothing: no such")


def test_help_is_printed_although_an_option_is_given_twice(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["sample", "--seed", "1", "--seed", "2", "--help"]) == 0
    assert "Generate images" in capfd.readouterr().out


def test_a_condition_is_a_column_with_values_and_ranges() -> None:
    words = ["sex=F", "age=30..40", "a=b=..2,5..,7", 'cut="1..2","x, y"', "day=2020-01-01.."]
    assert parse_where(words, ["sex", "a=b", "a"]) == {
        "sex": ["F"],
        "age": [("30", "40")],
        "a=b": [(None, "2"), ("5", None), "7"],
        "cut": ["1..2", "x, y"],
        "day": [("2020-01-01", None)],
    }
    for words in (["age"], ["age="]):
        with pytest.raises(UsageError, match=r"write COLUMN=VALUE, as in sex=F or age=30\.\.40"):
            parse_where(words, ["age"])
    with pytest.raises(UsageError, match="give all values of sex at once, as in sex=A,B"):
        parse_where(["sex=F", "sex=M"], ["sex"])
