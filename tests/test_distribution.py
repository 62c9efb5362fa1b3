"""The wheel has every file of the package, and the source archive all that its tests read."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("hatchling")
ROOT = Path(__file__).parent.parent
IN_SOURCES = ("vae_cli", "tests", "configs", "docs")
FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and a source archive of this checkout."""
    folder = tmp_path_factory.mktemp("built")
    words = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(words, cwd=ROOT, capture_output=True, check=True)
    return folder


def files_below(*names: str) -> Iterator[str]:
    """The files in folders of this checkout, without what Python or a test run leaves there."""
    for name in names:
        for path in (ROOT / name).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT).as_posix()


def test_the_wheel_has_every_file_of_the_package(built: Path) -> None:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        packed = set(archive.namelist())
    assert {"vae_cli/py.typed", "vae_cli/explore/static/page.css"} <= packed
    configs = {f"vae_cli/{name}" for name in files_below("configs")}
    files = {name for name in packed if ".dist-info/" not in name}
    assert files == {*files_below("vae_cli"), *configs}


def test_the_source_archive_has_every_file_that_its_tests_read(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {*files_below(*IN_SOURCES), *FILES} <= packed
