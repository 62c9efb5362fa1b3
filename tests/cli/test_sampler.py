"""`vae sample` of a table: its default sampler, and a fit of it that is stopped."""

import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import Use

from vae_cli.cli._app import main
from vae_cli.cli._console import Terminal
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

KEPT = Path("runs/wine/sampler-flow.safetensors")
WORDS = ("sample", "--run", "wine", "-n", 20, "--seed", 1)


@pytest.fixture(autouse=True)
def own_wine(wine_home: Path, here: Path) -> None:
    """A copy of the run, so that no other test finds what is fitted here."""
    shutil.copytree(wine_home / "runs/wine", "runs/wine")
    shutil.copy(wine_home / "wine.csv", "wine.csv")
    KEPT.unlink(missing_ok=True)


def stop_at(step: int, number: signal.Signals) -> Callable[..., object]:
    """A bar that raises a signal at a step of the fit."""

    @contextmanager
    def bar(_: Terminal, name: str) -> Iterator[Callable[[int, int], None]]:
        def progress(done: int, total: int) -> None:
            if name == "fitting" and done == step:
                signal.raise_signal(number)

        yield progress

    return bar


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_fit_that_is_stopped_goes_on_as_if_it_had_never_stopped(
    use: Use,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
) -> None:
    use(*WORDS, "-o", "whole.csv")
    whole = load_checkpoint(KEPT).tensors
    KEPT.unlink()
    for step in (0, 350, 700):
        with monkeypatch.context() as patch:
            patch.setattr(Terminal, "bar", stop_at(step, number))
            assert main(list(map(str, (*WORDS, "-o", "part.csv")))) == code
        said = capfd.readouterr()
        assert said.err == "stopped while a sampler is fitted; the same command goes on\n"
        assert not Path("part.csv").exists()
        assert load_checkpoint(KEPT).tensors["step"] >= step
    use(*WORDS, "-o", "part.csv")
    assert Path("part.csv").read_bytes() == Path("whole.csv").read_bytes()
    kept = load_checkpoint(KEPT).tensors
    assert all(kept[name].equal(tensor) for name, tensor in whole.items())


def test_a_table_has_samples_of_the_flow_of_its_weights(use: Use) -> None:
    use(*WORDS, "-o", "auto.csv")
    kept = KEPT.read_bytes()
    use(*WORDS, "-o", "flow.csv", "--sampler", "flow")
    use(*WORDS, "-o", "prior.csv", "--sampler", "prior")
    auto, flow, prior = (Path(f"{name}.csv").read_bytes() for name in ("auto", "flow", "prior"))
    assert auto == flow != prior
    use("train", "--resume", "wine", "--epochs", 4, "-q")
    use(*WORDS, "-o", "later.csv")
    assert KEPT.read_bytes() != kept, "other weights have another flow"


def test_without_its_data_a_table_has_samples_of_the_prior_and_a_line_says_so(use: Use) -> None:
    Path("x.csv").write_text("".join(f"{n},{n * n % 7}\n" for n in range(40)))
    use("train", "--data", "x.csv", "--epochs", 1, "--name", "x", "-q")
    Path("x.csv").rename("gone.csv")
    words = ("sample", "--run", "x", "-n", 20, "--seed", 1, "-o")
    use(*words, "prior.csv", "--sampler", "prior")
    warnings.simplefilter("default")  # not an error, as the tests have it
    said = use(*words, "auto.csv")
    assert "the samples come from the prior, not from a fitted flow: run x: its data" in said.err
    assert Path("auto.csv").read_bytes() == Path("prior.csv").read_bytes()
    assert not Path("runs/x/sampler-flow.safetensors").exists()
    use(*words, "flow.csv", "--data", "gone.csv")
    assert Path("flow.csv").read_bytes() != Path("prior.csv").read_bytes()
    assert Path("runs/x/sampler-flow.safetensors").exists()


def test_a_file_that_is_no_state_of_a_fit_is_not_used(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(*WORDS, "-o", "whole.csv")
    with monkeypatch.context() as patch:
        KEPT.unlink()
        patch.setattr(Terminal, "bar", stop_at(350, signal.SIGINT))
        main(list(map(str, WORDS)))
    stopped = load_checkpoint(KEPT)
    for change in ({"step": -5}, {"step": 10**9}, {"generator": 255}):
        tensors = {name: tensor.clone() for name, tensor in stopped.tensors.items()}
        for name, value in change.items():
            tensors[name].fill_(value)
        save_checkpoint(KEPT, Checkpoint(tensors, stopped.facts))
        use(*WORDS, "-o", "again.csv")
        assert Path("again.csv").read_bytes() == Path("whole.csv").read_bytes(), change
