"""Data sets of torchvision: downloaded once, verified by hash, and used offline afterwards."""

import dataclasses
import functools
import gzip
import hashlib
import http.server
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from vae_cli.data.dataset import ignore_progress
from vae_cli.data.downloads import DOWNLOADS, Downloaded
from vae_cli.errors import VAEError

NOBODY_LISTENS = "http://127.0.0.1:9/"


def idx(values: torch.Tensor) -> bytes:
    """A tensor in the format of MNIST's files."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    magic = bytes([0, 0, 8, values.ndim])
    return gzip.compress(magic + sizes + values.numpy().tobytes())


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.HTTPServer]:
    """A server on this machine with a small MNIST; torchvision knows its address and hashes."""
    files = tmp_path / "served"
    files.mkdir()
    resources = []
    for part, count in (("train", 30), ("t10k", 10)):
        images = torch.arange(count * 784).view(count, 28, 28).to(torch.uint8)
        for name, values in (
            (f"{part}-images-idx3-ubyte.gz", images),
            (f"{part}-labels-idx1-ubyte.gz", (torch.arange(count) % 10).to(torch.uint8)),
        ):
            content = idx(values)
            (files / name).write_bytes(content)
            resources.append((name, hashlib.md5(content, usedforsecurity=False).hexdigest()))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None: ...

    with http.server.HTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(files))
    ) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        address = f"http://127.0.0.1:{running.server_address[1]}/"
        monkeypatch.setattr(datasets.MNIST, "mirrors", [address])
        monkeypatch.setattr(datasets.MNIST, "resources", resources)
        yield running
        running.shutdown()
        thread.join()


def mnist() -> Downloaded:
    return Downloaded("mnist", progress=ignore_progress)


def test_a_data_set_is_downloaded_once_and_then_used_offline(
    server: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = mnist().train(), mnist().test()
    assert train.items.shape == (30, 1, 28, 28)
    assert test.items.shape == (10, 1, 28, 28)
    assert train.labels.tolist() == [n % 10 for n in range(30)]
    monkeypatch.setattr(datasets.MNIST, "mirrors", [NOBODY_LISTENS])
    assert mnist().train().items.equal(train.items)


def test_a_file_with_another_hash_is_refused(
    server: http.server.HTTPServer, tmp_path: Path
) -> None:
    (tmp_path / "served/t10k-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(VAEError, match=r"mnist is not in .* cannot be downloaded"):
        mnist().test()


def test_without_a_network_and_a_copy_the_error_is_one_line_with_the_remedy(
    server: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.MNIST, "mirrors", [NOBODY_LISTENS])
    with pytest.raises(VAEError, match="try again with a network, or copy its files") as refusal:
        mnist().train()
    assert "\n" not in str(refusal.value)


def refuse_connection(*_: object) -> None:
    raise ConnectionRefusedError


@pytest.mark.parametrize("name", DOWNLOADS)
def test_every_data_set_is_one_that_torchvision_has(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network, each of them fails at its download and not before."""
    monkeypatch.setattr("socket.socket.connect", refuse_connection)
    with pytest.raises(VAEError, match=f"{name} (is not in|needs)"):
        Downloaded(name, progress=ignore_progress).train()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModuleNotFoundError("no scipy", name="scipy"), "svhn needs scipy: pip install scipy"),
        (RuntimeError("please install gdown"), "svhn needs gdown: pip install gdown"),
    ],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(root: Path, train: bool) -> None:
        raise error

    monkeypatch.setitem(DOWNLOADS, "svhn", dataclasses.replace(DOWNLOADS["svhn"], open=fail))
    with pytest.raises(VAEError) as refusal:
        Downloaded("svhn", progress=ignore_progress).test()
    assert str(refusal.value) == message


LAYOUTS = {
    "mnist": ((28, 28), lambda array, c, y, x: array[y, x]),
    "emnist-letters": ((28, 28), lambda array, c, y, x: array[x, y]),
    "cifar10": ((32, 32, 3), lambda array, c, y, x: array[y, x, c]),
    "svhn": ((3, 32, 32), lambda array, c, y, x: array[c, y, x]),
    "stl10": ((3, 96, 96), lambda array, c, y, x: array[c, y, x]),
    "usps": ((16, 16), lambda array, c, y, x: array[y, x]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_becomes_channels_rows_and_columns(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, pixel = LAYOUTS[name]
    array = np.random.default_rng(0).integers(0, 256, (7, *shape), dtype=np.uint8)
    part = types.SimpleNamespace(data=torch.from_numpy(array) if "mnist" in name else array)
    setattr(part, "labels" if name in {"svhn", "stl10"} else "targets", np.arange(7))
    source = dataclasses.replace(DOWNLOADS[name], open=lambda root, train: part)
    monkeypatch.setitem(DOWNLOADS, name, source)
    dataset = Downloaded(name, progress=ignore_progress)
    split = dataset.test()
    assert split.items.shape == (7, *dataset.spec.shape)
    channel = dataset.spec.shape[0] - 1
    assert split.items[3, channel, 5, 11] == pixel(array[3], channel, 5, 11)
    assert split.labels.tolist() == (list(range(7)) if dataset.spec.classes else [])


def test_celeba_is_decoded_once_and_has_its_own_two_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "celeba/img_align_celeba"
    folder.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (178, 218), (60 * number, 0, 0)).save(folder / f"{number}.jpg")

    def open_part(root: Path, train: bool) -> types.SimpleNamespace:
        names = ["0.jpg", "1.jpg", "2.jpg"] if train else ["3.jpg"]
        return types.SimpleNamespace(root=tmp_path, base_folder="celeba", filename=names)

    source = dataclasses.replace(DOWNLOADS["celeba"], open=open_part)
    monkeypatch.setitem(DOWNLOADS, "celeba", source)
    dataset = Downloaded("celeba", progress=ignore_progress)
    assert dataset.train().items.shape == (3, 3, 64, 64)
    assert dataset.test().items[0, 0].float().mean() == pytest.approx(180, abs=3)
    (folder / "3.jpg").unlink()
    assert dataset.test().items.shape == (1, 3, 64, 64)
