"""Options: their help, their ranges, and those that several commands share."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from support import Refused, Use

from vae_cli.cli._app import COMMANDS, app, main
from vae_cli.settings import entries

Capture = pytest.CaptureFixture[str]
USES_NO_RUN = {"train", "sweep", "reproduce", "data", "config", "check"}
USES_A_RUN = [command for command in COMMANDS if command not in USES_NO_RUN]


# ---------------------------------------------------------------------- help


def parameters(command: str) -> list[Any]:
    """The arguments and options of a command, as Typer has them."""
    group: Any = typer.main.get_command(app)
    return list(group.commands[command].params)


def help_of(command: str, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> str:
    """The help of a command, so wide that no line of it is wrapped."""
    monkeypatch.setenv("COLUMNS", "1000")
    assert main([command, "--help"]) == 0
    return capfd.readouterr().out


def test_every_option_is_in_the_help_of_its_command_with_a_help_text(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    for command in COMMANDS:
        with subtests.test(command):
            require_help_of_options(command, capfd, monkeypatch)


def require_help_of_options(command: str, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option has one row, with all of its spellings and a sentence."""
    lines = help_of(command, capfd, monkeypatch).splitlines()
    for parameter in parameters(command):
        is_option = parameter.param_type_name == "option"
        flags = [*parameter.opts, *parameter.secondary_opts] if is_option else []
        name = flags[0] if is_option else parameter.metavar.removesuffix("...")
        rows = [line for line in lines if re.search(rf"^│ +{name}[ .]", line)]
        assert len(rows) == 1, f"{name} has one row"
        assert set(flags) <= set(rows[0].split()), f"{name} has all of its spellings"
        assert parameter.help, f"{name} has a help text"
        text = parameter.help.partition(" [default: ")[0]
        assert text in rows[0]
        assert re.fullmatch(r"[A-Z].+\.", text), f"the help text of {name} is a sentence"


@pytest.mark.parametrize(("command", "sections"), [("train", None), ("data", {"data"})])
def test_every_setting_with_a_flag_is_in_the_help_with_its_default(
    command: str, sections: set[str] | None, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = help_of(command, capfd, monkeypatch)
    wanted = [e for e in entries() if e.short and (sections is None or e.section in sections)]
    assert wanted
    for entry in wanted:
        row = text.partition(f"│ --{entry.short} ")[2].partition("│ --")[0]
        assert entry.help in row
        default = entry.default
        if isinstance(default, tuple):
            default = default[0] if default else ""
        assert default == "" or f"[default: {default}]" in row


# --------------------------------------------------------------------- ranges


@pytest.mark.parametrize(
    ("words", "flag", "limit"),
    [
        (("traverse", "--index", "-1"), "--index", "0"),
        (("sample", "-n", "0"), "--count", "1"),
        (("sample", "-n", "1000001"), "--count", "1000000"),
        (("sample", "-n", "x"), "--count", "integer"),
        (("sample", "--columns", "0"), "--columns", "1"),
        (("sample", "--scale", "0"), "--scale", "1"),
        (("sample", "--scale", "65"), "--scale", "64"),
        (("sample", "--temperature", "-1"), "--temperature", "0"),
        (("sample", "--temperature", "nan"), "--temperature", "100"),
        (("sample", "--temperature", "inf"), "--temperature", "100"),
        (("sample", "--seed", "-1"), "--seed", "0"),
        (("sample", "--seed", "18446744073709551616"), "--seed", "less than"),
        (("sample", "--device", "tpu"), "--device", "mps"),
        (("interpolate", "--steps", "1"), "--steps", "2"),
        (("interpolate", "--steps", "201"), "--steps", "200"),
        (("embed", "--method", "mds", "--plot", "a.png"), "--method", "tsne"),
        (("train", "--epochs", "0"), "--epochs", "1"),
        (("train", "--epochs", "1.5"), "--epochs", "integer"),
        (("train", "--epochs", "two"), "--epochs", "must be a valid integer, not 'two'"),
        (("train", "--hidden", "0"), "hidden", "1"),
        (("train", "--learning-rate", "0"), "learning", "0"),
        (("train", "--learning-rate", "nan"), "--learning-rate", "1"),
        (("train", "--beta", "-1"), "--beta", "0"),
        (("train", "--beta", "nan"), "--beta", "1,000,000"),
        (("train", "--schedule", "linear"), "--schedule", "cosine"),
        (("train", "--model", "convolution"), "--model", "'convolution' is not one of"),
        (("train", "--data", "fashion-mnits"), "--data", "fashion-mnist"),
        (("train", "--device", "tpu"), "--device", "mps"),
        (("train", "--seed", "9223372036854775808"), "--seed", "9223372036854775807"),
        (("train", "--save-every", "x"), "--save-every", "epochs (5), seconds (30s)"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_the_flag_and_the_limit(
    refused: Refused, words: tuple[str, ...], flag: str, limit: str
) -> None:
    message = refused(*words)
    assert flag in message
    assert limit in message


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (("reconstruct", "a.png", "-n", 3), "--count"),
        (("reconstruct", "--seed", 1), "--seed"),
        (("traverse", "--seed", 1), "--seed"),
        (("traverse", "a.png", "--index", 0), "--index"),
        (("interpolate", "a.png", "b.png", "--class", "bag"), "--class"),
        (("interpolate", "--invert"), "--invert"),
        (("train", "--resume", "--name", "x"), "--name"),
        (("data", "shapes", "--data", "shapes"), "--data"),
    ],
)
def test_an_option_without_an_effect_is_refused(
    refused: Refused, words: tuple[object, ...], flag: str
) -> None:
    assert refused(*words).startswith(f"{flag} has no effect here: leave it out, or ")


# ------------------------------------------------------------- --device, --seed


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has the device")
@pytest.mark.parametrize("command", ["train", "sample"])
def test_a_device_that_is_missing_is_refused_with_what_torch_found(
    here: Path, refused: Refused, command: str
) -> None:
    message = refused(command, "--device", "cuda")
    assert "device cuda" in message
    assert torch.__version__ in message
    assert "found cpu" in message
    assert "--device cpu" in message


@pytest.mark.parametrize(
    "words", [("sample",), ("reconstruct", "--sample"), ("traverse", "--sample")]
)
def test_a_random_seed_is_printed_and_repeats_the_picture(
    use: Use, here: Path, words: tuple[str, ...]
) -> None:
    said = use(*words, "-o", "a.png")
    seed = re.search(r"^seed (\d+)$", said.err, re.MULTILINE)
    assert seed
    assert "seed" not in use(*words, "--seed", seed[1], "-o", "b.png").err
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()
    assert f"seed {seed[1]}\n" not in use(*words, "-o", "c.png").err, "the next one is another"


# ---------------------------------------------------------------------- --run


def test_without_a_run_the_message_names_the_command_that_makes_one(refused: Refused) -> None:
    assert [command for command in USES_A_RUN if "vae train" not in refused(command)] == []


@pytest.fixture
def runs(here: Path, home: Path) -> Path:
    """Finished runs `old` and `new`, and `half`, newer than both, that is not finished."""
    (here / "runs" / "small").unlink()
    for when, name in ((1000, "new"), (500, "old"), (2000, "half")):
        run = here / "runs" / name
        skipped = ["last.safetensors"] + (["samples.png"] if name == "half" else [])
        shutil.copytree(home / "runs/small", run, ignore=shutil.ignore_patterns(*skipped))
        for path in run.iterdir():
            os.utime(path, (when, when))
    return here


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("words", [("sample", "--seed", 1), ("reconstruct",), ("traverse",)])
def test_the_newest_finished_run_is_used_and_printed(use: Use, words: tuple[object, ...]) -> None:
    assert "run runs/new: newest of 2; " in use(*words).err


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("selector", ["old", "runs/old", "./runs/old/", "half"])
def test_a_run_is_chosen_by_its_name_or_path(use: Use, selector: str) -> None:
    assert f"run runs/{Path(selector).name}: " in use("sample", "--run", selector).err


def test_best_safetensors_alone_is_enough_in_any_folder(use: Use, here: Path, home: Path) -> None:
    (here / "elsewhere").mkdir()
    shutil.copy(home / "runs/small/best.safetensors", here / "elsewhere")
    use("sample", "--run", "elsewhere", "--seed", 3, "-o", "a.png")
    use("sample", "--run", "small", "--seed", 3, "-o", "b.png")
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()
