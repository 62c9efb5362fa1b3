"""The folder for downloads and decoded pictures, and tensors that are stored in it."""

import os
import subprocess
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from vae_cli.data.cache import cache_folder, cached_tensor
from vae_cli.errors import VAEError


def test_the_environment_variable_names_the_folder_and_it_is_created(cache: Path) -> None:
    assert not cache.exists()
    assert cache_folder() == cache
    assert cache.is_dir()


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_environment_variable_it_is_the_platforms_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    monkeypatch.delenv("VAE_DATA")
    if value is not None:
        monkeypatch.setenv("VAE_DATA", value)
    assert cache_folder() == tmp_path / "vae"


def test_a_folder_that_cannot_be_created_is_one_line_with_the_remedy(cache: Path) -> None:
    cache.write_bytes(b"")
    with pytest.raises(VAEError, match=r"cannot make .*cache: .*; set VAE_DATA to a folder"):
        cache_folder()


def test_a_tensor_is_filled_once_and_then_read_from_its_file() -> None:
    calls: list[str] = []

    def fill(array: np.ndarray) -> dict[str, int]:
        calls.append("fill")
        array[:] = np.arange(6).reshape(2, 3)
        return {"rows": 2}

    for _ in range(2):
        tensor, facts = cached_tensor("key", (2, 3), fill=fill)
        assert tensor.tolist() == [[0, 1, 2], [3, 4, 5]]
        assert facts == {"rows": 2}
    assert calls == ["fill"]


@pytest.mark.parametrize("missing", ["key.npy", "key.json"])
def test_a_tensor_is_filled_again_if_one_of_its_two_files_is_missing(
    cache: Path, missing: str
) -> None:
    def fill(array: np.ndarray) -> int:
        array[:] = 7
        return 7

    cached_tensor("key", (2,), fill=fill)
    (cache / missing).unlink()
    tensor, facts = cached_tensor("key", (2,), fill=fill)
    assert tensor.tolist() == [7, 7]
    assert facts == 7


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(5, "Input/output error")])
def test_filling_that_fails_leaves_no_file(cache: Path, error: BaseException) -> None:
    def fail(array: np.ndarray) -> None:
        raise error

    with pytest.raises((KeyboardInterrupt, VAEError)):
        cached_tensor("key", (2,), fill=fail)
    assert not list(cache.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_an_error_before_anything_is_written_to_the_memory_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        monkeypatch.setenv("VAE_DATA", str(disk))
        with pytest.raises(VAEError, match=r"cannot write .*No space left"):
            cached_tensor("key", (100, 1000), fill=lambda array: array.fill(1))
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)
