"""Shards at URLs: brought here once, whole or not at all, and within a bound of disk space."""

import importlib.util
import pickle
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from shard_files import opened, picture, read_all, write_tar

from vae_cli.data import remote_files
from vae_cli.data.remote_files import TRIES
from vae_cli.data.shard_source import find_files
from vae_cli.data.source import SourceKind, find_source, is_data
from vae_cli.errors import UsageError, VAEError

PARTS = ("train-0", "train-1", "train-2", "test-0")
Server = Any  # with the folder, the paths that were asked for, and how many answers to cut short


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three shards to train on and one to test, of four pictures each."""
    (tmp_path / "local").mkdir()
    for number, part in enumerate(PARTS):
        seeds = range(4 * number, 4 * number + 4)
        members = {f"{seed:03}.png": picture("PNG", "RGB", seed=seed) for seed in seeds}
        write_tar(tmp_path / "local" / f"{part}.tar", members)
    return tmp_path / "local"


@pytest.fixture
def memory(folder: Path) -> Iterator[Any]:
    """The same shards in the memory of fsspec."""
    system = fsspec.filesystem("memory")
    system.put(str(folder), "/set", recursive=True)
    yield system
    system.rm("/set", recursive=True)


class Handler(SimpleHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if self.path == "/secret.tar":
            self.send_error(403)
            return
        self.server.asked.append(self.path)
        if self.server.cut > 0:
            self.server.cut -= 1
            path = Path(self.translate_path(self.path))
            self.send_response(200)
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            self.wfile.write(path.read_bytes()[:1000])
            self.close_connection = True
            return
        super().do_GET()

    def do_HEAD(self) -> None:
        if self.path == "/secret.tar":
            self.send_error(403)
        else:
            super().do_HEAD()

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(remote_files, "WAIT_SECONDS", 0)
    found: Server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    found.asked, found.cut = [], 0
    found.url = f"http://127.0.0.1:{found.server_port}"
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def test_shards_elsewhere_have_the_items_of_those_here(folder: Path, memory: Any) -> None:
    local = opened(folder).shards
    expected = read_all(local)
    for name in ("memory://set", "memory://set/*.tar", "memory://set/{test,train}-{0..0}.tar"):
        source = find_source(name)
        assert source.kind is SourceKind.SHARDS
        assert source.absolute_name == name
        assert is_data(name)
        shards, spec, files, *_ = opened(name)
        assert not files
        assert spec.shape == (3, 30, 30)
        count = int(shards.starts[-1])
        assert shards.keys(torch.arange(count)) == local.keys(torch.arange(16))[:count]
        assert read_all(pickle.loads(pickle.dumps(shards))).equal(expected[:count])


def test_what_is_not_there_is_one_line(server: Server, memory: Any) -> None:
    wrong = {
        "memory://set/train-{0..3}.tar": "3 of 4 are there: memory://set/train-3.tar is missing",
        "memory://set/cats-*.tar": "no file has such a name",
        "memory://nowhere/": "no file has such a name",
        f"{server.url}/nothing.tar": "no file has such a name",
        f"{server.url}/train-{{0..4}}.tar": "3 of 5 are there",
    }
    for name, words in wrong.items():
        find_source(name)  # asks nobody
        with pytest.raises(UsageError) as caught:
            opened(name)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
    refused = {
        "s3://x/photos.tar.gz": "compressed as a whole",
        "s3://x/{1..}.tar": "is no range",
        "https://x/table.csv": "only shards (.tar, .parquet, .npy) are read from a URL",
        "nonsense://x/y.tar": "fsspec does not know nonsense://",
    }
    for name, words in refused.items():
        with pytest.raises(UsageError) as caught:
            find_source(name)
        assert words in str(caught.value)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {"s3://x/y.tar": "s3fs", "hf://x": "huggingface_hub", "https://x/y.tar": "aiohttp"}
    find = importlib.util.find_spec
    for name, module in needed.items():
        missing = {module}
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda one, n=missing: None if one in n else find(one)
        )
        with pytest.raises(UsageError) as caught:
            find_source(name)
        assert str(caught.value) == f"{name} needs {module}: pip install 'vae-cli[remote]'"


def test_a_lost_connection_is_tried_again(server: Server, cache: Path) -> None:
    server.cut = TRIES - 1
    shards = opened(f"{server.url}/train-0.tar").shards
    assert len(read_all(shards)) == 4
    assert server.asked == ["/train-0.tar"] * TRIES  # and not again for reading
    server.cut = TRIES
    with pytest.raises(VAEError, match=rf"train-1\.tar: .* \(tried {TRIES} times\)") as caught:
        opened(f"{server.url}/train-1.tar")
    assert "\n" not in str(caught.value)
    assert not list(cache.glob("*.tmp"))
    assert not list(cache.glob("*.lock"))


def test_what_may_not_be_read_is_not_asked_for_again(server: Server) -> None:
    with pytest.raises(VAEError, match=r"secret\.tar: it may not be read: check the credentials"):
        opened(f"{server.url}/secret.tar")


def test_a_server_that_is_gone_is_one_line(server: Server) -> None:
    url = f"{server.url}/train-0.tar"
    server.shutdown()
    server.server_close()
    with pytest.raises(VAEError, match=rf"{url}: .* \(tried {TRIES} times\)"):
        opened(url)


def test_brought_shards_take_a_bounded_room(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = find_files(f"{server.url}/train-{{0..2}}.tar")
    size = files[0].size
    for allowed, requests in ((3 * size, 3), (2 * size, 9)):
        monkeypatch.setattr(remote_files, "MAX_KEPT", allowed)
        server.asked.clear()
        for path in cache.glob("*.shard"):
            path.unlink()
        for _ in range(3):  # with room for two, the one that comes next has always just gone
            for file in files:
                with file.open() as content:
                    assert content.read(7).endswith(b".png")
                assert sum(path.stat().st_size for path in cache.glob("*.shard")) <= allowed
        assert len(server.asked) == requests
    opened_files = [file.open() for file in files]  # what is open stays, whatever is removed
    for file, content in zip(files, opened_files, strict=True):
        assert len(content.read()) == file.size
        content.close()


def test_several_at_once_bring_a_shard_once(server: Server) -> None:
    (file,) = find_files(f"{server.url}/train-0.tar")

    def read() -> None:
        with file.open() as content:
            sizes.append(len(content.read()))

    sizes: list[int] = []
    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [file.size] * 8
    assert server.asked == ["/train-0.tar"]


def test_another_file_at_the_same_url_is_brought(memory: Any, cache: Path) -> None:
    name = "memory://set/train-0.tar"
    before = opened(name).shards
    memory.pipe("/set/train-0.tar", memory.cat("/set/train-1.tar"))
    after = opened(name).shards
    assert before.digest != after.digest
    assert not read_all(after).equal(read_all(before))
