"""Exchanging latents between two items."""

import torch

from vae_cli.latent.interpolation import exchange


def test_only_the_named_dimensions_are_exchanged_and_twice_is_nothing() -> None:
    latents = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    exchanged = exchange(latents, [1, 4])
    assert (exchanged[:, [1, 4]] == latents.flip(0)[:, [1, 4]]).all()
    assert (exchanged[:, [0, 2, 3, 5]] == latents[:, [0, 2, 3, 5]]).all()
    assert (exchange(exchanged, [4, 1]) == latents).all()
    assert (exchange(latents, range(6)) == latents.flip(0)).all()
