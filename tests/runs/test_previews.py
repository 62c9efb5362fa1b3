"""How a finished run is compared with one item for all."""

from types import SimpleNamespace

import pytest
import torch
from models import conditional_vae, mlp_vae

from vae_cli.data.split import InMemory
from vae_cli.model import ImageCodec
from vae_cli.runs.previews import compare_with_mean


def test_each_held_out_item_is_reconstructed_with_its_own_condition() -> None:
    images = torch.rand(20, 1, 6, 5, generator=torch.Generator().manual_seed(0))
    classes = torch.arange(20) % 4
    split = InMemory(images, torch.arange(20), torch.empty(0), condition=classes)
    resolved = SimpleNamespace(train=split, test=split, codec=ImageCodec())
    model = conditional_vae(classes=4).eval()
    found = compare_with_mean(model, resolved)
    with torch.no_grad():
        posterior = model.encoder(images, classes)
        decoded = model.likelihood(model.decoder(posterior.mode(), classes)).mean
    error = (decoded - images).square().flatten(1).sum(1).mean().item()
    assert found.reconstruction == pytest.approx(error, rel=1e-5)
    expected = (images - images.mean(0)).square().flatten(1).sum(1).mean().item()
    assert found.mean_item == pytest.approx(expected, rel=1e-5)
    with pytest.raises(TypeError):
        compare_with_mean(mlp_vae(), resolved)
