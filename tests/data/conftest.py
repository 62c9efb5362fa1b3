"""Every test of this folder has a cache of its own."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for downloads and decoded pictures; it is created when it is needed."""
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"
