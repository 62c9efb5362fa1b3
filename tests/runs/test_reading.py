"""The text files of a run, forged in every way that a generator can think of."""

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import CONTROL, Refused

from vae_cli.cli._app import main
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.compare import collect_curves
from vae_cli.runs.directory import Run
from vae_cli.runs.summary import (
    MAX_COLUMNS,
    MAX_EPOCHS,
    MAX_FIGURES,
    MAX_NUMBER,
    MAX_SETTINGS,
    summarize_run,
)

HUGE = "9" * 400
NUMBERS = [
    *(HUGE, f"-{HUGE}", "9" * 5000, "1e308", "-1e308", "1e400", "1e26", "-5", "0", "1.5"),
    *("nan", "inf", "-inf", "0x10", "1_000", "٣", "", "x", '"', "\0", "\ud7ff", "1;2"),
]
JSON_VALUES = [
    *(HUGE, "9" * 5000, "1e308", "-1e308", "1e400", "NaN", "null", "true", '"x"', "[]", "{}"),
    *("[[[]]]", '{"value": 1e308}', '"\\u0000"', '"\\ud800"', "[" * 2000 + "]" * 2000),
]
TOML_VALUES = [
    *(HUGE, f"-{HUGE}", "1e308", "1e400", "nan", "-inf", "0", "-5", "true", '"x"', '""', "[]"),
    *('"\\u0000"', '"\\u001b[2J"', "[[[[[1]]]]]", "{a = 1}", "1979-05-27", "[1, 'x', nan]"),
    *("[" * 200 + "]" * 200, f'"{"x" * 10_000}"', "0.1", "[99999999999999999999]"),
]


def forged_metrics() -> Iterator[str]:
    for number in NUMBERS:
        yield f"epoch,train_loss,test_kl,test_mse,test_loss\n{number},1,2,3,4\n"
        same = ",".join([number] * 4)
        yield f"epoch,train_loss,test_kl,test_mse,test_loss\n1,{same}\n"
        yield f"epoch,test_loss\n1,2\n2,{number}\n{number},{number}\n"
    names = ",".join(f"test_t{n}" for n in range(20_000))
    yield f"epoch,test_loss,{names}\n{','.join(['1'] * 20_002)}\n"
    yield "epoch,test_loss\n" + "1,2\n" * 300_000
    yield "epoch,test_loss\n" + "\n" * 300_000
    yield f"epoch,test_{'x' * 200_000}\n1,2\n"
    yield '"' + "a\n" * 100_000
    yield ",".join(["epoch", *["test_loss"] * 50]) + "\n1" + ",7" * 50


def forged_evaluations(good: str) -> Iterator[str]:
    for value in JSON_VALUES:
        yield value
        for key in ("figures", "weights", "samples", "kl_by_dim", "data", "seed", "features"):
            yield good.replace(f'"{key}": ', f'"{key}": {value}, "was": ', 1)
        yield good.replace('"value": 1.5', f'"value": {value}').replace(
            '"error": 0.5', f'"error": {value}'
        )
        yield good.replace('"elbo"', json.dumps(value))
    many = json.dumps({f"figure{n}": {"value": n, "error": 0} for n in range(20_000)})
    yield good.replace('"figures": ', f'"figures": {many}, "was": ')


def forged_settings(good: str) -> Iterator[str]:
    lines = good.splitlines()
    places = [n for n, line in enumerate(lines) if " = " in line]
    values = itertools.cycle(TOML_VALUES)
    for value in TOML_VALUES:
        yield f"value = {value}\n"
        yield f"[data]\nname = {value}\n[training]\nepochs = {value}\nbest = {value}\n"
        yield f"[new]\nx = {value}\n{good}"
    for place in places:
        changed = [*lines]
        changed[place] = f"{lines[place].split(' = ')[0]} = {next(values)}"
        yield "\n".join(changed)
    yield good + "[more]\n" + "".join(f"s{n} = {n}\n" for n in range(20_000))
    yield "".join(f"[s{n}]\na = 1\n" for n in range(20_000))
    yield "[a" + ".a" * 2000 + "]\n"
    yield f"# {'x' * 2**21}\n{good}"


@pytest.fixture
def forged(here: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A finished run, with an evaluation of its own weights."""
    shutil.copytree(here / "runs/small", here / "runs/forged")
    run = Run(here / "runs/forged")
    content = {
        "figures": {"elbo": {"value": 1.5, "error": 0.5}, "mig": {"value": 1.5, "error": None}},
        **{"samples": 10, "kl_by_dim": [1.0], "data": "x", "seed": 0, "features": "classifier"},
        "weights": load_checkpoint(run.best).weights_digest,
    }
    (run.path / "evaluation.json").write_text(json.dumps(content))
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return run


COMMANDS = [
    "runs",
    "runs --json",
    "runs --sort test_loss",
    "runs --sort epochs --reverse -o all.csv --force",
    "runs --group beta",
    "runs forged",
    "plot forged -o a.svg --force",
    "plot forged small -o a.svg --force",
    "plot * --rate-distortion -o a.svg --json --force",
    "config show forged",
]


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("name", "forge"),
    [
        ("metrics.csv", lambda good: forged_metrics()),
        ("evaluation.json", forged_evaluations),
        ("config.toml", forged_settings),
    ],
)
def test_a_run_with_forged_files_is_shown_or_refused_in_one_line(
    forged: Run,
    capfd: pytest.CaptureFixture[str],
    name: str,
    forge: Callable[[str], Iterator[str]],
    every: int,
) -> None:
    path = forged.path / name
    good = path.read_text()
    commands = itertools.cycle(COMMANDS)
    for number, content in enumerate(itertools.islice(forge(good), 0, None, every)):
        path.write_text(content, errors="surrogatepass")
        words = next(commands)
        code = main(words.split())
        out, err = capfd.readouterr()
        what = f"{words} of {name} {number}: {content[:60]!r}: {err[:300]}"
        assert code in {0, 1, 2}, what
        assert "unexpected" not in err, what
        assert "Traceback" not in err, what
        assert not CONTROL.search(out + err), what
        if code:
            assert err.count("\n") == 1, what
            assert len(err) < 1000, what
        elif "--json" in words:
            json.loads(out, parse_constant=pytest.fail)


def test_what_is_read_of_a_forged_file_has_a_limit(forged: Run) -> None:
    good = forged.config_file.read_text()
    for content in forged_metrics():
        forged.metrics_file.write_text(content, errors="surrogatepass")
        summary = summarize_run(forged)
        assert len(summary.metrics) <= MAX_COLUMNS, content[:60]
        assert summary.epochs <= MAX_EPOCHS, content[:60]
        assert all(abs(value) <= MAX_NUMBER for value in summary.figures.values()), content[:60]
    for content in forged_settings(good):
        forged.config_file.write_text(content)
        assert len(summarize_run(forged).settings) <= 2 * MAX_SETTINGS, content[:60]
    evaluation = forged.path / "evaluation.json"
    for content in forged_evaluations(evaluation.read_text()):
        evaluation.write_text(content)
        assert len(summarize_run(forged).evaluation) <= MAX_FIGURES, content[:60]


def test_epochs_that_no_training_comes_to_are_not_plotted(forged: Run) -> None:
    forged.metrics_file.write_text(
        "epoch,test_loss\n-5,1\n0,1\n1,5\n1.5,1\n1e26,1\n100001,1\n3,4\n"
    )
    (curve,) = collect_curves([summarize_run(forged)])
    assert curve.epochs == [1, 3]


def test_a_checkpoint_that_is_a_pipe_is_not_read(here: Path, refused: Refused) -> None:
    run = here / "runs" / "pipe"
    run.mkdir()
    (run / "config.toml").touch()
    for name in ("best", "last"):
        os.mkfifo(run / f"{name}.safetensors")
    assert "best.safetensors is a pipe" in refused("sample", "--run", "pipe")
    assert "last.safetensors is a pipe" in refused("train", "--resume", "pipe")
