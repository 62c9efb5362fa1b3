"""The plane of two latents."""

import pytest
import torch

from vae_cli.latent.interpolation import gaussian_quantiles, quantile_plane


@pytest.mark.parametrize("count", [2, 3, 20, 200])
def test_between_two_quantiles_lies_the_same_share_of_the_prior(count: int) -> None:
    quantiles = gaussian_quantiles(count).double()
    shares = torch.special.ndtr(quantiles)
    torch.testing.assert_close(shares.diff(), torch.full((count - 1,), 1 / count).double())
    torch.testing.assert_close(quantiles, -quantiles.flip(0))
    assert shares[0].item() == pytest.approx(1 - shares[-1].item())


def test_the_first_dimension_rises_to_the_right_and_the_second_upwards() -> None:
    plane = quantile_plane(5, (3, 1), 4)
    assert plane.shape == (5, 5, 4)
    assert (plane[..., 3].diff(dim=1) > 0).all()
    assert (plane[..., 1].diff(dim=0) < 0).all()
    assert (plane[..., [0, 2]] == 0).all()
    assert (plane[2, 2] == 0).all(), "the middle is the mean of the prior"
