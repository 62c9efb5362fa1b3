"""Data sets of torchvision: fetched once, checked, used offline; and the shapes drawn here."""

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

from vae_cli import build, config
from vae_cli.data import shapes
from vae_cli.data.downloads import SOURCES, Downloaded
from vae_cli.errors import UsageError, VAEError


def idx(values: torch.Tensor) -> bytes:
    """A tensor in the format of MNIST's files."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    magic = bytes([0, 0, 8, values.ndim])
    return gzip.compress(magic + sizes + values.numpy().tobytes())


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.HTTPServer]:
    """A server on this machine with a small MNIST, whose hashes torchvision is told."""
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
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{running.server_address[1]}/"
        monkeypatch.setattr(datasets.MNIST, "mirrors", [address])
        monkeypatch.setattr(datasets.MNIST, "resources", resources)
        monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
        yield running
        running.shutdown()
        thread.join()


def mnist() -> Downloaded:
    return Downloaded("mnist", progress=lambda *_: None)


def test_a_data_set_is_fetched_once_and_then_used_offline(
    server: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = mnist().train(), mnist().test()
    assert train.items.shape == (30, 1, 28, 28)
    assert test.items.shape == (10, 1, 28, 28)
    assert train.labels.tolist() == [n % 10 for n in range(30)]
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    assert mnist().train().items.equal(train.items)


def test_a_file_that_is_not_the_published_one_is_refused(
    server: http.server.HTTPServer, tmp_path: Path
) -> None:
    (tmp_path / "served/t10k-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(VAEError, match=r"mnist is not in .* cannot be downloaded"):
        mnist().test()


def test_without_a_network_and_a_copy_there_is_one_line_with_the_remedy(
    server: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(VAEError, match="try again with a network, or copy its files") as refusal:
        mnist().train()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", SOURCES)
def test_every_name_is_one_that_torchvision_still_has(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline, each gets as far as the download."""
    monkeypatch.setenv("VAE_DATA", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", refuse)
    with pytest.raises(VAEError, match=f"{name} (is not in|needs)"):
        Downloaded(name, progress=lambda *_: None).train()


def refuse(*_words: object) -> None:
    raise ConnectionRefusedError


def test_a_name_that_is_nothing_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean cifar10"):
        build.dataset(config.resolve(("", {"data": {"name": "cifar-10"}})).data)


def test_shapes_are_the_same_everywhere() -> None:
    drawn = shapes.images()
    assert drawn.shape == (30_720, 1, 64, 64)
    assert len({image.numpy().tobytes() for image in drawn[::7]}) > 30_720 // 7 * 0.85
    digest = hashlib.sha256(drawn.numpy().tobytes()).hexdigest()
    assert digest == "ae57a2bca5dea83b03cfa7c0c1b395a76438a96cb0db7d4ba983899f2aa1c877"


def test_each_factor_of_the_shapes_does_what_it_says() -> None:
    drawn, factors = shapes.images().double() / 255, shapes.factors()
    mass = drawn.sum((1, 2, 3))
    steps = torch.arange(64, dtype=torch.float64)
    x, y = (drawn * steps).sum((1, 2, 3)) / mass, (drawn * steps[:, None]).sum((1, 2, 3)) / mass
    sizes = list(shapes.FACTORS.values())
    of = torch.arange(len(drawn)).view(*sizes)
    assert torch.allclose(x[of[..., 1:, :]] - x[of[..., :-1, :]], torch.tensor(2.0).double())
    assert torch.allclose(y[of[..., 1:]] - y[of[..., :-1]], torch.tensor(2.0).double())
    assert (mass[of[:, 1:]] > mass[of[:, :-1]]).all()
    assert factors[of[2, 1, 5, 3, 4]].tolist() == [2, 1, 5, 3, 4]
    turned = mass[of[:, 3, :, 0, 0]]
    assert (turned.max(1).values / turned.min(1).values < 1.01).all()


def test_shapes_have_a_split_of_their_own() -> None:
    data = shapes.Shapes(test_fraction=0.1)
    assert len(data.train()) + len(data.test()) == 30_720
    assert len(data.test()) == pytest.approx(3072, rel=0.1)


LAYOUTS = {
    "mnist": ((28, 28), lambda array, c, y, x: array[y, x]),
    "emnist-letters": ((28, 28), lambda array, c, y, x: array[x, y]),
    "cifar10": ((32, 32, 3), lambda array, c, y, x: array[y, x, c]),
    "svhn": ((3, 32, 32), lambda array, c, y, x: array[c, y, x]),
    "stl10": ((3, 96, 96), lambda array, c, y, x: array[c, y, x]),
    "usps": ((16, 16), lambda array, c, y, x: array[y, x]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_becomes_channels_rows_columns(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAE_DATA", str(tmp_path))
    shape, at = LAYOUTS[name]
    arrays = np.random.default_rng(0).integers(0, 256, (7, *shape), dtype=np.uint8)
    data = torch.from_numpy(arrays) if "mnist" in name else arrays
    part = types.SimpleNamespace(data=data, **{"labels": [0] * 7} if name == "svhn" else {})
    part.targets = getattr(part, "labels", list(range(7)))
    source = dataclasses.replace(SOURCES[name], part=lambda root, train: part)
    monkeypatch.setitem(SOURCES, name, source)
    made = Downloaded(name, progress=lambda *_: None)
    items = made.test().items
    assert items.shape == (7, *made.spec.shape)
    channel = made.spec.shape[0] - 1
    assert items[3, channel, 5, 11] == at(arrays[3], channel, 5, 11)


def test_faces_are_decoded_once_by_their_own_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    folder = tmp_path / "celeba/img_align_celeba"
    folder.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (178, 218), (60 * number, 0, 0)).save(folder / f"{number}.jpg")

    def part(root: Path, train: bool) -> types.SimpleNamespace:
        names = ["0.jpg", "1.jpg", "2.jpg"] if train else ["3.jpg"]
        return types.SimpleNamespace(root=tmp_path, base_folder="celeba", filename=names)

    monkeypatch.setitem(SOURCES, "celeba", dataclasses.replace(SOURCES["celeba"], part=part))
    made = Downloaded("celeba", progress=lambda *_: None)
    assert made.train().items.shape == (3, 3, 64, 64)
    assert made.test().items[0, 0].float().mean() == pytest.approx(180, abs=3)
    (folder / "3.jpg").unlink()
    assert made.test().items.shape == (1, 3, 64, 64)
