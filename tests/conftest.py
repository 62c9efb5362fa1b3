"""What several tests need: `vae` as a person runs it, and a small trained run."""

import os
import re
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from vae_cli.cli import main


class Said(NamedTuple):
    """What a command printed."""

    out: str
    err: str


Vae = Callable[..., subprocess.CompletedProcess[str]]
Use = Callable[..., Said]
Refused = Callable[..., str]

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
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
def here(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own folder that sees the run of `home`."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "small").symlink_to(home / "runs" / "small")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def use(here: Path, capfd: pytest.CaptureFixture[str]) -> Use:
    """Run words in this process, in `here`; they must succeed."""

    def run(*words: object) -> Said:
        code = main([str(word) for word in words])
        said = Said(*capfd.readouterr())
        assert code == 0, said.err
        assert not CONTROL.search(said.out + said.err)
        return said

    return run


@pytest.fixture
def refused(here: Path, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Run words that must fail and leave nothing; returns the one line they print."""

    def run(*words: object) -> str:
        before = sorted(here.rglob("*"))
        code = main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert sorted(here.rglob("*")) == before
        return err

    return run


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
