"""The folder for downloads and decoded pictures, and tensors that are stored in it."""

import errno
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from support import SPECIAL_FILES

from vae_cli import locks
from vae_cli.data.cache import Unfinished, cache_folder, cached_tensor
from vae_cli.errors import VAEError
from vae_cli.files import _name_temporary


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


# ---------------------------------------------------------------------- several processes


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill_with_sevens(array: np.ndarray) -> dict[str, int]:
    array[:] = 7
    return {"value": 7}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Each builder fills row after row with its row's number, and notes that it was called. All of them
# believe that they have the same process id, as those in containers may.
BUILDER = """
import os, sys, time
from vae_cli.data.cache import cached_tensor
os.getpid = lambda: 1
def fill(array):
    with open(sys.argv[1], "a") as calls:
        calls.write("x")
    for row in range(len(array)):
        array[row] = row % 256
        time.sleep(0.002)
    return len(array)
tensor, facts = cached_tensor("key", (300, 50), fill=fill)
assert facts == 300
assert all((tensor[row] == row % 256).all() for row in range(300)), "a row is wrong"
"""


def build(calls: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", BUILDER, str(calls)]
    return subprocess.Popen(command)


@pytest.mark.slow
def test_of_three_processes_one_fills_a_tensor_and_the_others_wait(
    tmp_path: Path, cache: Path
) -> None:
    builders = [build(tmp_path / "calls") for _ in range(3)]
    for builder in builders:
        assert builder.wait() == 0
    assert (tmp_path / "calls").read_text() == "x"
    assert names(cache) == ["key.json", "key.npy"]


def test_of_three_threads_one_fills_a_tensor_and_the_others_wait(cache: Path) -> None:
    calls: list[int] = []

    def fill(array: np.ndarray) -> int:
        calls.append(1)
        time.sleep(0.3)
        array[:] = 7
        return 7

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: cached_tensor("key", (9,), fill=fill), range(3)))
    assert all(tensor.tolist() == [7] * 9 for tensor, _ in found)
    assert len(calls) == 1
    assert names(cache) == ["key.json", "key.npy"]


def test_where_there_are_no_locks_each_process_fills_its_own_file(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    inside = threading.Barrier(2, timeout=20)

    def fill(array: np.ndarray) -> int:
        inside.wait()  # both are here at the same time
        array[:] = 7
        return 7

    work = functools.partial(cached_tensor, "key", (9,), fill=fill)
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cached_tensor("key", (9,), fill=pytest.fail)[0].tolist() == [7] * 9
    assert names(cache) == ["key.json", "key.npy"]


@pytest.mark.slow
def test_a_killed_builder_holds_nobody_off_and_its_file_is_removed(
    tmp_path: Path, cache: Path
) -> None:
    builder = build(tmp_path / "calls")
    while not list(cache.glob("key.*.tmp") if cache.exists() else []):
        time.sleep(0.01)
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    assert len(names(cache)) == 2, "the unfinished tensor and the file of the lock"
    tensor, _ = cached_tensor("another", (2, 3), fill=fill_with_sevens)
    assert tensor.tolist() == [[7] * 3] * 2
    assert names(cache) == ["another.json", "another.npy"]


@pytest.mark.slow
def test_a_file_that_another_process_is_filling_is_not_removed(tmp_path: Path, cache: Path) -> None:
    builder = build(tmp_path / "calls")
    while not list(cache.glob("key.*.tmp") if cache.exists() else []):
        time.sleep(0.01)
    cached_tensor("another", (2, 3), fill=fill_with_sevens)
    assert builder.wait() == 0
    assert names(cache) == ["another.json", "another.npy", "key.json", "key.npy"]


def test_who_waits_reports_its_progress_and_can_be_stopped(cache: Path) -> None:
    cache.mkdir()
    handle = locks.lock(cache / "key.lock", os.O_CREAT)
    assert handle is not None

    def stop(done: int, total: int) -> None:
        assert (done, total) == (0, 4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_tensor("key", (4,), fill=fill_with_sevens, progress=stop)
    os.close(handle)
    assert cached_tensor("key", (4,), fill=fill_with_sevens, progress=stop)[0].tolist() == [7] * 4


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def other_shape(path: Path) -> None:
    np.save(path, np.zeros((3, 2), np.uint8))


def other_type(path: Path) -> None:
    np.save(path, np.zeros((2, 3), np.int8))


def other_order(path: Path) -> None:
    np.save(path, np.asfortranarray(np.zeros((2, 3), np.uint8)))


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage")


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "damage", [truncate, append, other_shape, other_type, other_order, garbage, empty]
)
def test_a_tensor_that_is_not_whole_is_filled_again(cache: Path, damage: object) -> None:
    cached_tensor("key", (2, 3), fill=fill_with_sevens)
    damage(cache / "key.npy")  # type: ignore[operator]
    assert cached_tensor("key", (2, 3), fill=fill_with_sevens)[0].tolist() == [[7] * 3] * 2
    assert cached_tensor("key", (2, 3), fill=pytest.fail)[1] == {"value": 7}


def change_facts(content: bytes) -> bytes:
    return content.replace(b'"value": 7', b'"value": 8')


def of_another_key(content: bytes) -> bytes:
    return content.replace(b'"key"', b'"yek"', 1)


STRANGE_FACTS = [b"", b"{", b"\xff", b"[]", b"null", b"7", b'"x"', b"{}", b"[" * 10**5]
STRANGE_FACTS += [b'{"key": "key", "shape": [2, 3], "facts": {}}', b"9" * 10**4]


@pytest.mark.parametrize("damage", [*STRANGE_FACTS, change_facts, of_another_key])
def test_a_tensor_whose_facts_are_not_its_own_is_filled_again(
    cache: Path, damage: bytes | Callable[[bytes], bytes]
) -> None:
    cached_tensor("key", (2, 3), fill=fill_with_sevens)
    facts = cache / "key.json"
    facts.write_bytes(damage if isinstance(damage, bytes) else damage(facts.read_bytes()))
    assert cached_tensor("key", (2, 3), fill=fill_with_sevens)[1] == {"value": 7}
    assert cached_tensor("key", (2, 3), fill=pytest.fail)[1] == {"value": 7}


@pytest.mark.parametrize("make", SPECIAL_FILES)
@pytest.mark.parametrize("name", ["key.npy", "key.json", "key.partial.npy", "key.partial.json"])
def test_a_pipe_a_socket_or_a_device_in_place_of_an_entry_is_replaced_and_not_waited_for(
    cache: Path, make: Callable[[Path], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_tensor("key", (2, 3), fill=fill_with_sevens)
    monkeypatch.chdir(cache)  # the path of a socket must be short
    Path(name).unlink(missing_ok=True)
    make(Path(name))
    for fill in (fill_with_sevens, pytest.fail):
        tensor, facts = cached_tensor("key", (2, 3), fill=fill, refill=refill_next_row)
        assert (tensor.tolist(), facts) == ([[7] * 3] * 2, {"value": 7})


def test_a_pipe_in_place_of_a_lock_is_not_waited_for(cache: Path) -> None:
    cache.mkdir()
    os.mkfifo(cache / "key.lock")
    assert cached_tensor("key", (2, 3), fill=fill_with_sevens)[1] == {"value": 7}


def test_a_tensor_that_is_in_use_keeps_its_contents_while_it_is_filled_again(cache: Path) -> None:
    before, _ = cached_tensor("key", (2, 3), fill=fill_with_sevens)
    (cache / "key.json").unlink()
    after, _ = cached_tensor("key", (2, 3), fill=lambda array: array.fill(9))
    assert before.tolist() == [[7] * 3] * 2
    assert after.tolist() == [[9] * 3] * 2


def fill_first_row(array: np.ndarray) -> Unfinished:
    array[0] = 5
    return Unfinished({"missing": [1, 2]})


def refill_next_row(array: np.ndarray, facts: dict[str, list[int]]) -> object:
    row, *later = facts["missing"]
    array[row] = 5
    return Unfinished({"missing": later}) if later else {"missing": []}


def test_only_the_missing_rows_of_an_unfinished_tensor_are_filled_later(cache: Path) -> None:
    tensor, facts = cached_tensor("key", (3, 2), fill=fill_first_row, refill=refill_next_row)
    assert (tensor[0].tolist(), facts) == ([5, 5], {"missing": [1, 2]})
    assert names(cache) == ["key.partial.json", "key.partial.npy"]
    for missing, files in (([2], ["key.partial.json", "key.partial.npy"]), ([], FINISHED)):
        tensor, facts = cached_tensor("key", (3, 2), fill=pytest.fail, refill=refill_next_row)
        assert facts == {"missing": missing}
        assert names(cache) == files
    assert tensor.tolist() == [[5] * 2] * 3
    assert cached_tensor("key", (3, 2), fill=pytest.fail, refill=pytest.fail)[1] == {"missing": []}


def test_what_a_killed_process_left_is_removed_when_something_is_filled(cache: Path) -> None:
    cached_tensor("key", (3, 2), fill=fill_first_row, refill=refill_next_row)
    (cache / "key.partial.npy").unlink()
    written = [_name_temporary(cache / name).name for name in ("key.json", "key.partial.json")]
    for name in (*written, "key.0123456789abcdef.tmp", "key.lock"):
        (cache / name).write_text("{}")
    (cache / ".key.log.a_b9xyz0.vae-tmp").write_text("it may still be written")
    cached_tensor("other", (2, 3), fill=fill_with_sevens)
    assert names(cache) == [".key.log.a_b9xyz0.vae-tmp", "other.json", "other.npy"]


OTHERS = [
    *("thesis.tmp", "thesis.lock", "thesis.json", "thesis.npy", "key.tmp", "key.abc.tmp"),
    *("thesis.partial.json", "my.thesis.0123456789abcdef.tmp", ".thesis.json.vae-tmp"),
]


def test_files_that_the_cache_did_not_make_are_never_removed_or_changed(cache: Path) -> None:
    cache.mkdir()
    for number, name in enumerate(OTHERS):
        (cache / name).write_text(str(number))
    cached_tensor("key", (3, 2), fill=fill_first_row, refill=refill_next_row)
    cached_tensor("key", (3, 2), fill=pytest.fail, refill=refill_next_row)
    (cache / "key.partial.npy").write_bytes(b"")
    cached_tensor("key", (3, 2), fill=fill_with_sevens)
    for number, name in enumerate(OTHERS):
        assert (cache / name).read_text() == str(number), name


FINISHED = ["key.json", "key.npy"]


def test_an_unfinished_tensor_is_used_as_it_is_if_it_cannot_be_written(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_tensor("key", (3, 2), fill=fill_first_row, refill=refill_next_row)

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(locks, "lock", refuse)
    found = cached_tensor("key", (3, 2), fill=pytest.fail, refill=refill_next_row)
    assert found[1] == {"missing": [1, 2]}


def test_filling_that_is_stopped_keeps_the_unfinished_tensor(cache: Path) -> None:
    cached_tensor("key", (3, 2), fill=fill_first_row, refill=refill_next_row)

    def stop(_array: np.ndarray, _facts: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_tensor("key", (3, 2), fill=pytest.fail, refill=stop)
    found = cached_tensor("key", (3, 2), fill=pytest.fail, refill=refill_next_row)
    assert found[1] == {"missing": [2]}


def test_a_finished_tensor_is_read_from_a_folder_that_cannot_be_written(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_tensor("key", (2, 3), fill=fill_with_sevens)

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(locks, "lock", refuse)
    assert cached_tensor("key", (2, 3), fill=pytest.fail)[0].tolist() == [[7] * 3] * 2
    with pytest.raises(VAEError, match=r"cannot write .*other\.npy: Read-only file system"):
        cached_tensor("other", (2, 3), fill=pytest.fail)


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_taken_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    handles: list[int | None] = []
    lock = locks.lock

    def lock_and_lose(path: Path, flags: int) -> int | None:
        handles.append(lock(path, flags))
        if len(handles) == 1:
            path.unlink()  # by the process that held the lock until now
        return handles[-1]

    monkeypatch.setattr(locks, "lock", lock_and_lose)
    cached_tensor("key", (2, 3), fill=fill_with_sevens)
    assert len(handles) == 2
