"""Fixtures that several test modules use: `vae` as a user runs it, and a small trained run."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from support import CONTROL, Output, Refused, Use, Vae, call, run_refused

from vae_cli.cli._app import main
from vae_cli.errors import MARK
from vae_cli.settings import outside


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The key and the cache of the user are in temporary folders, for child processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAE_HOME", str(tmp_path_factory.mktemp("vae-home")))
        patch.setenv("VAE_DATA", str(tmp_path_factory.mktemp("vae-data")))
        yield


@pytest.fixture(autouse=True)
def forgotten_components(monkeypatch: pytest.MonkeyPatch) -> None:
    """A component from outside is known to the test that loads it alone."""
    monkeypatch.setattr(outside, "_KNOWN", {})


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, `runs/small`; tests read from it and write elsewhere."""
    folder = tmp_path_factory.mktemp("home")
    words = ("--limit", 2048, "--epochs", 2, "--name", "small", "--precision", "float32")
    done = call("train", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def here(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, made the current one, in which the run of `home` is visible."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "small").symlink_to(home / "runs" / "small")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def use(here: Path, capfd: pytest.CaptureFixture[str]) -> Use:
    """Run words in this process, in `here`; they must succeed."""

    def run(*words: object) -> Output:
        code = main([str(word) for word in words])
        output = Output(*capfd.readouterr())
        assert code == 0, output.err
        assert not CONTROL.search(output.out + output.err)
        assert not MARK.search(output.err)
        return output

    return run


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Refused:
    """Run words in a folder that must fail with one line; see `support.run_refused`.

    The folder is empty, unless the test also uses `here`.
    """
    monkeypatch.chdir(tmp_path)

    def run(*words: object, code: int = 2) -> str:
        return run_refused(capfd.readouterr, *words, code=code)

    return run


@pytest.fixture
def vae(tmp_path: Path) -> Vae:
    """Call the installed `vae` in an empty folder: `vae("sample", "-n", 4)`."""

    def run(*words: object, cwd: Path = tmp_path, **environment: str) -> object:
        return call(*words, cwd=cwd, **environment)

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="run the reliability tests completely: about an hour"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # The tests run in several processes, and start others. With several threads in each, these wait
    # for each other's cores, and take many times as long as with one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    choose_examples(config)
    if config.getoption("--full"):
        config.option.timeout = 0  # the limit is for the quick share
        config.option.markexpr = ""


def choose_examples(config: pytest.Config) -> None:
    """A few, the same in every run; with `-m "slow or hypothesis"`, others, and many."""
    default = settings(deadline=None, database=None, max_examples=10, derandomize=True)
    settings.register_profile("few", default)
    settings.register_profile("many", default, max_examples=50, derandomize=False)
    settings.load_profile("many" if "hypothesis" in config.option.markexpr else "few")


@pytest.fixture
def times(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """How often a reliability test tries: `times(quick, full)`."""
    return lambda quick, full: full if request.config.getoption("--full") else quick
