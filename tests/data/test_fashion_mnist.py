"""Fashion-MNIST is what its authors published."""

import gzip
import hashlib
from importlib.resources import files

import pytest
import torch

from vae_cli.data.dataset import Spec
from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.data.split import InMemory

# SHA-256 of what Debian's dataset-fashion-mnist 0.0~git20200523.55506a9-1 unpacks to
SHA256 = {
    "t10k-images-idx3": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "train-images-idx3": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
}


@pytest.fixture(scope="module")
def parts() -> dict[str, InMemory]:
    dataset = FashionMNIST()
    return {"train": dataset.train(), "test": dataset.test()}


@pytest.mark.parametrize("name", SHA256)
def test_the_files_are_the_published_ones(name: str) -> None:
    content = (files("vae_cli.data.fashion_mnist") / f"{name}-ubyte.gz").read_bytes()
    assert hashlib.sha256(gzip.decompress(content)).hexdigest() == SHA256[name]


def test_the_licence_is_in_the_same_folder_as_the_data() -> None:
    notice = (files("vae_cli.data.fashion_mnist") / "LICENSE").read_text()
    assert "Zalando SE" in notice
    assert "MIT License" in notice


@pytest.mark.parametrize(("name", "count"), [("train", 60_000), ("test", 10_000)])
def test_images_and_labels_have_the_published_sizes(
    parts: dict[str, InMemory], name: str, count: int
) -> None:
    spec: Spec = FashionMNIST.spec
    split = parts[name]
    assert split.items.shape == (count, *spec.shape)
    assert split.items.dtype == torch.uint8
    assert split.labels.bincount().tolist() == [count // 10] * len(spec.classes)


def test_mean_and_standard_deviation_are_the_well_known_ones(parts: dict[str, InMemory]) -> None:
    """Code for this data set normalises with 0.2860 and 0.3530."""
    pixels = parts["train"].items.float() / 255
    assert pixels.mean().item() == pytest.approx(0.2860, abs=1e-4)
    assert pixels.std().item() == pytest.approx(0.3530, abs=1e-4)
