"""What several tests need: the installed `vae` as a person runs it, and a small trained run."""

import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

Vae = Callable[..., subprocess.CompletedProcess[str]]

VAE = Path(sysconfig.get_path("scripts")) / "vae"


def call(*words: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the console script in a folder, its output on pipes."""
    return subprocess.run(
        [VAE, *map(str, words)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "80", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, `runs/small`; tests read from it and write elsewhere."""
    folder = tmp_path_factory.mktemp("home")
    done = call("train", "--limit", 2048, "--epochs", 2, "--name", "small", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def vae(tmp_path: Path) -> Vae:
    """Call the installed `vae` in an empty folder: `vae("sample", "-n", 4)`."""

    def run(*words: object, cwd: Path = tmp_path, **environment: str) -> object:
        return call(*words, cwd=cwd, **environment)

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="all that the reliability tests try: about an hour"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--full"):
        config.option.timeout = 0  # the limit is for a quick share


@pytest.fixture
def times(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """How often a reliability test tries: `times(quick, full)`."""
    return lambda quick, full: full if request.config.getoption("--full") else quick
