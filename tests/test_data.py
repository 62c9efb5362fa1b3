"""Fashion-MNIST is what its authors published, and batches visit each image once."""

import gzip
import hashlib
from importlib.resources import files

import pytest
import torch

from vae_cli.data import FashionMNIST, gather, permutation

# SHA-256 of what Debian's dataset-fashion-mnist 0.0~git20200523.55506a9-1 unpacks to
SHA256 = {
    "t10k-images-idx3": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "train-images-idx3": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
}


@pytest.mark.parametrize("name", SHA256)
def test_the_files_are_the_published_ones(name: str) -> None:
    content = (files("vae_cli.data.fashion_mnist") / f"{name}-ubyte.gz").read_bytes()
    assert hashlib.sha256(gzip.decompress(content)).hexdigest() == SHA256[name]


def test_the_licence_travels_with_the_data() -> None:
    notice = (files("vae_cli.data.fashion_mnist") / "LICENSE").read_text()
    assert "Zalando SE" in notice
    assert "MIT License" in notice


def test_images_and_labels_have_the_published_sizes() -> None:
    dataset = FashionMNIST()
    for split, count in ((dataset.train(), 60_000), (dataset.test(), 10_000)):
        assert split.items.shape == (count, *dataset.spec.shape)
        assert split.items.dtype == torch.uint8
        assert split.labels.bincount().tolist() == [count // 10] * len(dataset.spec.classes)


def test_mean_and_deviation_are_the_ones_that_everybody_normalises_with() -> None:
    pixels = FashionMNIST().train().items.float() / 255
    assert pixels.mean().item() == pytest.approx(0.2860, abs=1e-4)
    assert pixels.std().item() == pytest.approx(0.3530, abs=1e-4)


def test_gathered_batches_are_scaled_to_the_unit_interval() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)
    batch = gather(images, torch.tensor([255, 0, 51]))
    torch.testing.assert_close(batch.flatten(), torch.tensor([1.0, 0.0, 0.2]))


def test_a_permutation_visits_each_index_once_and_differs_by_seed_and_epoch() -> None:
    orders = [permutation(1000, seed=seed, epoch=epoch) for seed in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert order.sort().values.equal(torch.arange(1000))
    assert len({tuple(order.tolist()) for order in orders}) == 4
    assert orders[0].equal(permutation(1000, seed=0, epoch=0))
